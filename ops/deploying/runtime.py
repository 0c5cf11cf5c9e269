"""Lambda's runtimes for Python: the one that Redial uses, and the end of each."""

from datetime import date

from chalicelib.errors import RedialError
from ops.deploying import chalice_config

#: Runtime -> the day on which AWS deprecates it. Previews are not listed.
#: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
ENDS_ON = {
    "python3.11": date(2027, 6, 30),
    "python3.12": date(2028, 10, 31),
    "python3.13": date(2029, 6, 30),
    "python3.14": date(2029, 6, 30),
}
#: The key in `.chalice/config.json` that sets the runtime for both ways to deploy. Chalice itself uses the Python that
#: runs it.
SETTING = "lambda_runtime"
DEFAULT = "python3.13"
ARCHITECTURES = ("x86_64", "arm64")


def wanted() -> str:
    """Return the runtime to deploy on. Raise RedialError if AWS does not support it."""
    name = str(chalice_config.read().get(SETTING, DEFAULT))
    if name not in ENDS_ON:
        raise RedialError(f"{SETTING} is {name!r} in .chalice/config.json; it must be one of {', '.join(ENDS_ON)}")
    return name


def version(name: str) -> str:
    """Return the Python version of a runtime, for example ``3.13``."""
    return name.removeprefix("python")
