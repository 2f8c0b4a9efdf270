"""The options of every command that talks to a broker."""

from __future__ import annotations

import argparse
from pathlib import Path

from emotrack.tracker.mqtt.connection.broker import PASSWORD_VARIABLE, USERNAME_VARIABLE, BrokerOptions


def add_broker_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command that talks to a broker needs besides its URL."""
    group = parser.add_argument_group(
        "broker",
        f"User name and password come from {USERNAME_VARIABLE} and {PASSWORD_VARIABLE} in the environment, or from a "
        "file; the user name may also stand in the URL. mqtts:// is MQTT over TLS.",
    )
    group.add_argument("--mqtt-credentials", type=Path, metavar="FILE", help="a file whose first line is USER:PASSWORD")
    group.add_argument(
        "--mqtt-ca", type=Path, metavar="FILE", help="trust this certificate authority, not the system's (PEM)"
    )
    group.add_argument("--mqtt-cert", type=Path, metavar="FILE", help="the certificate to present (PEM)")
    group.add_argument(
        "--mqtt-key", type=Path, metavar="FILE", help="the certificate's key, where it is in a file of its own (PEM)"
    )


def broker_options(arguments: argparse.Namespace) -> BrokerOptions:
    """What was given of ``add_broker_options``."""
    return BrokerOptions(
        credentials=arguments.mqtt_credentials,
        ca=arguments.mqtt_ca,
        certificate=arguments.mqtt_cert,
        key=arguments.mqtt_key,
    )
