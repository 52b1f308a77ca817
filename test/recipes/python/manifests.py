"""Checks Kubernetes manifests against their schemas, and prints them as JSON: manifests.py VERSION FILE [DEFINITION]

VERSION is one of Kubernetes. DEFINITION is the CustomResourceDefinition of what is no resource of Kubernetes itself: such a manifest is
checked by it, and the pod template in it by Kubernetes too. An unknown member is an error everywhere.
"""
import json
import sys

import jsonschema
import kubernetes_validate
import yaml


def documents(file):
    with open(file, encoding='utf-8') as text:
        return list(yaml.safe_load_all(text))


def closed(schema):
    """That schema as an API server applies it: what it does not name is refused. `metadata` is checked with the pod."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if 'properties' in schema and schema.get('type') == 'object':
        result.setdefault('additionalProperties', False)
    return result


def check_custom(manifest, definition):
    group, version = manifest['apiVersion'].split('/')
    if (group, manifest['kind']) != (definition['spec']['group'], definition['spec']['names']['kind']):
        raise ValueError(f'{group} {manifest["kind"]} is not what the definition is of')
    served = [found for found in definition['spec']['versions'] if found['name'] == version and found['served']]
    if not served:
        raise ValueError(f'{version} of {manifest["kind"]} is not served')
    jsonschema.Draft202012Validator(
        closed(served[0]['schema']['openAPIV3Schema']), format_checker=jsonschema.FormatChecker()
    ).validate(manifest)


def main(version, file, definition=None):
    manifests = documents(file)
    for manifest in manifests:
        if definition is not None:
            check_custom(manifest, documents(definition)[0])
            template = manifest['spec']['podTemplate']
            metadata = {'name': manifest['metadata']['name'], **template['metadata']}
            manifest = {'apiVersion': 'v1', 'kind': 'Pod', **template, 'metadata': metadata}
        kubernetes_validate.validate(manifest, version, strict=True)
    json.dump(manifests, sys.stdout)


main(*sys.argv[1:])
