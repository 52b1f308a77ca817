"""Drives ProcessService with the client of the Kubernetes SIG's agent sandbox. What its connector learns from a cluster is given here."""

import json
import sys

import grpc
from k8s_agent_sandbox.commands._process_stubs import process_pb2, process_pb2_grpc
from k8s_agent_sandbox.commands.command_executor import CommandExecutor


class Connector:
    def __init__(self, target):
        self.channel = grpc.insecure_channel(target)

    def is_sandboxd(self):
        return True

    def connect(self):
        pass

    def grpc_channel(self):
        return self.channel

    def invalidate_sandboxd_transport(self, channel):
        pass


def streamed(stub):
    config = process_pb2.ProcessConfig(command=["cat"])
    output, code = b"", None
    for response in stub.Start(process_pb2.StartRequest(config=config)):
        event = response.WhichOneof("event")
        if event == "init":
            pid = response.init.process_id
            stub.WriteStdin(process_pb2.WriteStdinRequest(process_id=pid, input=b"typed"))
            stub.WriteStdin(process_pb2.WriteStdinRequest(process_id=pid, eof={}))
        elif event == "stdout":
            output += response.stdout
        elif event == "exit":
            code = response.exit.exit_code
    return [output.decode(), code]


def signalled(stub, signal):
    config = process_pb2.ProcessConfig(command=["sleep", "1000"])
    for response in stub.Start(process_pb2.StartRequest(config=config)):
        if response.WhichOneof("event") == "init":
            stub.SendSignal(process_pb2.SendSignalRequest(process_id=response.init.process_id, signal=signal))
    return response.exit.exit_code


connector = Connector(sys.argv[1])
executor = CommandExecutor(connector, None, "test")
stub = process_pb2_grpc.ProcessServiceStub(connector.channel)
ran = executor.run("printf $A; pwd >&2; exit 3", env={"A": "ä"}, cwd="/tmp")
late = executor.run("sleep 1000", command_timeout=0.5)
print(
    json.dumps(
        {
            "ran": [ran.stdout, ran.stderr, ran.exit_code],
            "late": [late.exit_code, late.timed_out],
            "streamed": streamed(stub),
            "signalled": [signalled(stub, signal) for signal in (2, 9, 15)],
        }
    )
)
