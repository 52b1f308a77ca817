"""Checks a file of Kubernetes manifests against the schema of a Kubernetes version, and prints them as JSON: manifests.py VERSION FILE"""
import json
import sys

import kubernetes_validate
import yaml

version, file = sys.argv[1:]
with open(file, encoding='utf-8') as text:
    manifests = list(yaml.safe_load_all(text))
for manifest in manifests:
    kubernetes_validate.validate(manifest, version, strict=True)
json.dump(manifests, sys.stdout)
