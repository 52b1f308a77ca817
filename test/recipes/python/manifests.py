"""Checks a file of Kubernetes manifests against the schema of a Kubernetes version, and prints them as JSON: manifests.py VERSION FILE

Of an agent sandbox (a custom resource, whose schema no package has) the pod in it is checked, and that there is nothing beside it.
"""
import json
import sys

import kubernetes_validate
import yaml

version, file = sys.argv[1:]
with open(file, encoding='utf-8') as text:
    manifests = list(yaml.safe_load_all(text))


def checked(manifest):
    if manifest['kind'] != 'Sandbox':
        return manifest
    unknown = [manifest.keys() ^ {'apiVersion', 'kind', 'metadata', 'spec'}, manifest['spec'].keys() ^ {'podTemplate'}]
    if any(unknown) or manifest['apiVersion'] != 'agents.x-k8s.io/v1beta1':
        raise ValueError(f'not a sandbox: {unknown}')
    template = manifest['spec']['podTemplate']
    return {'apiVersion': 'v1', 'kind': 'Pod', **template, 'metadata': {'name': 'sandbox', **template['metadata']}}


for manifest in manifests:
    kubernetes_validate.validate(checked(manifest), version, strict=True)
json.dump(manifests, sys.stdout)
