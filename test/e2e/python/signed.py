"""Signs the URLs of a directory as the Python SDK does, with a token of the sandbox, and moves archives by them.

The arguments are the token and a directory. Fetches what GNU tar then unpacks beside it as `fetched`, and sends an
archive of that to `sent`. Prints the statuses, and those of what must be refused, as a JSON list.
"""
import json
import subprocess
import sys
import urllib.error
import urllib.request

from e2b import ConnectionConfig, Sandbox
from packaging.version import Version


def call(url, body=None, kind=None):
    request = urllib.request.Request(url, data=body, headers={'content-type': kind} if kind else {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def main(token, directory):
    sandbox = Sandbox(
        sandbox_id='debug_sandbox_id',
        sandbox_domain=None,
        envd_version=Version('0.4.0'),
        envd_access_token=token,
        traffic_access_token=None,
        connection_config=ConnectionConfig(debug=True),
    )
    tree = f'{directory}/tree'
    status, archive = call(sandbox.download_url(tree, use_signature_expiration=60) + '&format=tar.gz')
    subprocess.run(['tar', '-xzf', '-', '--one-top-level=fetched'], input=archive, cwd=directory, check=True)
    packed = subprocess.run(['tar', '-C', f'{directory}/fetched', '-cf', '-', '.'], stdout=subprocess.PIPE, check=True)
    up = sandbox.upload_url(f'{directory}/sent', user='user') + '&mode=create'
    statuses = [status, call(up, packed.stdout, 'application/x-tar')[0]]
    # A second time, by the URL for reading, and with a signature for another path.
    statuses.append(call(up, packed.stdout, 'application/x-tar')[0])
    statuses.append(call(sandbox.download_url(tree), packed.stdout, 'application/x-tar')[0])
    statuses.append(call(sandbox.download_url(tree).replace('tree', 'other') + '&format=tar')[0])
    print(json.dumps(statuses))


main(*sys.argv[1:])
