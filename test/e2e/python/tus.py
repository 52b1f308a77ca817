"""Uploads a file by tuspy: tus.py URL FILE CHUNK_BYTES. Goes on where it was cut, with a client made anew each time."""
import sys

from tusclient import client

url, path, chunk = sys.argv[1], sys.argv[2], int(sys.argv[3])
tus = client.TusClient(url)
uploader = tus.uploader(path, chunk_size=chunk, upload_checksum=True, retries=0)
uploader.upload_chunk()
resumed = tus.uploader(path, chunk_size=chunk, url=uploader.url, retries=5, retry_delay=1)
assert resumed.get_offset() == uploader.offset, resumed.get_offset()
resumed.upload()
