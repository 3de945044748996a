"""How this installation's own parts reach a collector that listens with TLS."""

import ssl

from deploy.errors import OperatorError
from deploy.settings import Settings
from gateway.config import ConfigError, Fault


def to_collector(settings: Settings) -> ssl.SSLContext | None:
    """For the gateway and for whoever asks whether the collector is ready; None = it listens without TLS.

    Raises OperatorError, naming the key and the file, for what cannot be read.
    """
    tls = settings.collector_tls
    if tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"collector.tls.ca: {tls.ca} is no CA's certificate: {error}") from None
    if tls.client_cert and tls.client_key:
        try:
            context.load_cert_chain(tls.client_cert, tls.client_key)
        except (OSError, ssl.SSLError) as error:
            pair = f"{tls.client_cert} and {tls.client_key}"
            raise OperatorError(f"collector.tls: {pair} are no certificate and its key: {error}") from None
    return context


def require_usable(settings: Settings) -> None:
    """Raises ConfigError where the files of collector.tls cannot be read or do not fit each other."""
    tls = settings.collector_tls
    if tls is None:
        return
    from collector.settings import CannotStart, Tls

    try:
        Tls(cert=tls.cert, key=tls.key, client_ca=tls.client_ca).context()
        to_collector(settings)
    except (CannotStart, OperatorError) as error:
        place, _, problem = str(error).partition(": ")
        raise ConfigError(str(settings.path), [Fault(place, problem)]) from None
