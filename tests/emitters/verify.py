"""Drives each emitter for real and writes what it sent to tests/sql/emitters. Run it with `make verify-emitters`.

Each emitter has an environment of its own in the cache folder, outside uv.lock; the vendor and the receiver are on
loopback. Says for each corpus whether it is new, changed or the same; exits 1 where an emitter could not be driven.
`--only NAME` drives one, `--check` writes nothing and exits 3 where a corpus would change.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.emitters.catalogue import EMITTERS, Emitter
from tests.emitters.scrub import scrub
from tests.emitters.vendor import Stage

ROOT = Path(__file__).resolve().parents[2]
CORPORA = ROOT / "tests" / "sql" / "emitters"
DRIVERS = Path(__file__).parent / "drivers"
DRIVEN_S, INSTALLED_S = 120, 600


class CouldNot(Exception):
    """An emitter was not driven; the message says at which step and what was said there."""


def main() -> int:
    """Drive them. 0 done, 1 a failure, 3 a corpus differs (with --check)."""
    parser = argparse.ArgumentParser(prog="verify-emitters", description=__doc__)
    parser.add_argument("--only", choices=[e.name for e in EMITTERS], help="drive this one")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 3 where a corpus would change")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "tollway" / "emitters")
    asked = parser.parse_args()
    failed = changed = 0
    with Stage() as stage:
        for emitter in EMITTERS:
            if asked.only not in (None, emitter.name):
                continue
            try:
                corpus = drive(emitter, stage, asked.cache)
            except CouldNot as fault:
                failed += 1
                say(f"{emitter.corpus}: {fault}")
                continue
            state = compared(CORPORA / emitter.corpus, corpus, write=not asked.check)
            changed += state != "the same"
            say(f"{emitter.corpus}: {state}")
    return 1 if failed else 3 if changed and asked.check else 0


def drive(emitter: Emitter, stage: Stage, cache: Path) -> str:
    """What it sends, scrubbed, as the text of its corpus. Raises CouldNot."""
    place = installed(emitter, cache)
    stage.reset()
    if emitter.node:
        driver = place / emitter.driver
        shutil.copyfile(DRIVERS / emitter.driver, driver)
        command = ["node", str(driver)]
    else:
        command = [str(place / "bin" / "python"), str(DRIVERS / emitter.driver)]
    run(command, f"{emitter.driver} failed", DRIVEN_S, env=environment(emitter, stage.url))
    if not stage.exports:
        raise CouldNot("it ran and sent no spans")
    return json.dumps(scrub(stage.exports), indent=1, ensure_ascii=False) + "\n"


def installed(emitter: Emitter, cache: Path) -> Path:
    """The emitter's environment, made when its pins are new."""
    pins = hashlib.sha256("\n".join(emitter.packages).encode()).hexdigest()[:12]
    place = cache / f"{'node' if emitter.node else 'py'}-{pins}"
    done = place / ".installed"
    if done.exists():
        return place
    place.mkdir(parents=True, exist_ok=True)
    if emitter.node:
        if shutil.which("npm") is None:
            raise CouldNot("it stands on Node, and there is no npm on this machine")
        (place / "package.json").write_text('{"private": true}\n')
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(place), *emitter.packages]
        run(command, "npm could not install it", INSTALLED_S)
    else:
        uv = str(Path(sys.executable).parent / "uv")
        run([uv, "venv", "--quiet", "--clear", str(place)], "no environment could be made", INSTALLED_S)
        python = str(place / "bin" / "python")
        command = [uv, "pip", "install", "--quiet", "--system-certs", "--python", python, *emitter.packages]
        run(command, "it could not be installed", INSTALLED_S)
    done.touch()
    return place


def environment(emitter: Emitter, url: str) -> dict[str, str]:
    """What its driver sees: nothing of ours but the path, and every emitter's own name for where to send."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "PYTHONDONTWRITEBYTECODE": "1", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "sk-none",
        "OTEL_SERVICE_NAME": "toll-app", "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER": "otlp_http",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{url}/v1/traces", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "200", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LANGFUSE_HOST": url, "LANGFUSE_PUBLIC_KEY": "pk-none", "LANGFUSE_SECRET_KEY": "sk-none",
        **emitter.env,
    }  # fmt: skip


def run(command: list[str], fault: str, seconds: int, env: dict[str, str] | None = None) -> None:
    """Run to the end. Raises CouldNot with the last lines it said."""
    try:
        ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise CouldNot(f"{fault}: {problem}") from problem
    if ended.returncode != 0:
        raise CouldNot(f"{fault}, status {ended.returncode}: ...{(ended.stderr or ended.stdout)[-800:]}")


def compared(path: Path, corpus: str, *, write: bool) -> str:
    """What the corpus is beside the file; the file is written where that is asked and it differs."""
    state = "new" if not path.exists() else "the same" if path.read_text("utf-8") == corpus else "changed"
    if write and state != "the same":
        path.parent.mkdir(exist_ok=True)
        path.write_text(corpus, "utf-8")
    return state


def say(line: str) -> None:
    """To stdout, at once."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
