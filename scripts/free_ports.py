"""Ends with one line where a server could not listen: `free_ports.py PORT SANDBOX_PORT` names the variables."""

import os
import socket
import sys


def main():
    """Try every port that the variables give, on loopback."""
    names = sys.argv[1:]
    if len({os.environ[name] for name in names}) < len(names):
        sys.exit(f"{' and '.join(names)} must differ.")
    for name in names:
        port = os.environ[name]
        try:
            with socket.socket() as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind(("127.0.0.1", int(port)))
        except (ValueError, OverflowError):
            sys.exit(f"{name} must be a port number, not {port!r}.")
        except OSError as error:
            sys.exit(f"Port {port} cannot be used ({error.strerror}): choose another with {name}=NUMBER.")


if __name__ == "__main__":
    main()
