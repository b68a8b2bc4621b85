import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.__main__ import main
from sandbox.config import Config
from sandbox.testing import PROJECT, running_sandbox
from tests.sandbox.acting import Caller, Merchant


def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    state = tmp_path / "world" / "sandbox.json"
    with running_sandbox(state_file=state) as sandbox:
        sandbox.control.advance(100)
        trade = sandbox.control.make_trade(age_seconds=2000, items=[{"price": "19.99"}])
        assert Caller(sandbox).cancel(trade).status_code == 200

    with running_sandbox(state_file=state) as sandbox:
        [kept] = sandbox.control.state()["trades"]
        sandbox.control.advance(5)
        [ended] = sandbox.control.state()["trades"]

    kept.pop("sandbox")
    assert kept == trade
    assert ended["status"] == "reverted"


def test_callbacks_not_sent_before_a_stop_are_sent_after_it(tmp_path: Path, shop: Merchant) -> None:
    shop.forget()
    with running_sandbox(state_file=tmp_path / "s.json", callback_url="http://127.0.0.1:9/") as sandbox:
        trade = sandbox.control.make_trade()
        sandbox.control.flush()
        [before] = sandbox.control.deliveries()

    with running_sandbox(state_file=tmp_path / "s.json", callback_url=shop.url) as sandbox:
        sandbox.control.advance(60)
        sandbox.control.flush()

    # What another sandbox still had under way may come to this shop too.
    received = [each.signature["id"] for each in shop.received if each.trade["id"] == trade["id"]]
    assert received == [before["deliveryId"]]


def test_the_process_announces_itself_and_ends_cleanly_on_both_signals(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--callback-url", "http://127.0.0.1:9/"]
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        rest = process.stdout.read()

        assert first.startswith("sandbox: AssetPay stand-in on http://127.0.0.1:")
        assert rest == "sandbox: stopped\n"
        assert process.wait(timeout=5) == 0


def test_a_process_can_be_used_like_a_thread() -> None:
    with running_sandbox(process=True, cancel_window_seconds=60, api_key="ap_other") as sandbox:
        trade = sandbox.control.make_trade(age_seconds=61)

        assert Caller(sandbox).cancel(trade).status_code == 200
        assert Caller(sandbox).read_trade(trade)["id"] == trade["id"]
        sandbox.control.reset()
        assert sandbox.control.state()["switches"]["cancel_window_seconds"] == 60


@pytest.mark.parametrize("name", ["SANDBOX_PORT", "CANCEL_WINDOW_SECONDS"])
def test_a_setting_that_is_no_number_stops_the_start(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "soon")

    assert main([]) == 2
    assert capsys.readouterr().err == f"sandbox: {name} is not a whole number: 'soon'\n"


def test_a_switch_that_does_not_exist_stops_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "0", "--switch", "moonlight=true"]) == 2
    assert capsys.readouterr().err == "sandbox: There is no switch called 'moonlight'.\n"


def test_a_state_file_of_somebody_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk")

    assert main(["--port", "0", "--state", str(path)]) == 2
    assert "not a sandbox state file" in capsys.readouterr().err
    assert path.read_text() == "remember the milk"


def test_the_environment_describes_the_merchant() -> None:
    config = Config.from_environment(
        {
            "PORT": "8123",
            "SANDBOX_PORT": "8124",
            "ASSETPAY_MERCHANT_ID": "m-1",
            "ASSETPAY_API_SECRETS": "newest-secret-0001, older-secret-00001,",
            "ASSETPAY_CANCELS_PER_MINUTE": "60",
            "CANCEL_WINDOW_SECONDS": "90",
        }
    )

    assert (config.port, config.merchant_id) == (8124, "m-1")
    assert config.api_secrets == ("newest-secret-0001", "older-secret-00001")
    assert config.switches.callback_url == "http://127.0.0.1:8123/callbacks/assetpay/"
    assert (config.switches.cancels_per_minute, config.switches.cancel_window_seconds) == (60, 90)


def test_nobody_listens_beyond_loopback() -> None:
    with running_sandbox() as sandbox:
        port = int(sandbox.base_url.rsplit(":", 1)[1])
        outside = socket.socket()
        outside.settimeout(1)

        # 127.0.0.2 is another address of this machine: a server bound to all of them would answer.
        assert outside.connect_ex(("127.0.0.2", port)) != 0
        outside.close()


def test_a_hundred_reads_take_less_than_a_second() -> None:
    with running_sandbox() as sandbox:
        caller = Caller(sandbox)
        refs = [sandbox.control.make_trade()["id"] for _ in range(200)]

        began = time.monotonic()
        for ref in refs[:100]:
            assert caller.read(ref).status_code == 200

        assert time.monotonic() - began < 1
