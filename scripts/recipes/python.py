# pip install e2b; python python.py, for a daemon at localhost:49983. Elsewhere, or behind a proxy:
# E2B_SANDBOX_URL=http://localhost:8080 as well.
from e2b import Sandbox

sandbox = Sandbox.create(debug=True, api_key='e2b_' + '0' * 40)

result = sandbox.commands.run('echo "hello from $(uname -s)"')
print(result.exit_code, result.stdout)

sandbox.files.write('/tmp/greeting.txt', 'written by Python')
print(sandbox.files.read('/tmp/greeting.txt'))

counting = sandbox.commands.run('for i in 1 2 3; do echo $i; done', on_stdout=lambda text: print(text, end=''))
print(counting.exit_code)
