"""The launcher:  ``streamlit run dashboard/app.py -- --data DIR``.

It joins the page script and the HTTP routes that feed the viewer into one application.
"""

import sys
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from dashboard import security
from dashboard.api import ROUTES

address = st.get_option("server.address")
token = security.token_for(address)
if token is not None:
    sys.stderr.write(security.warning(address, st.get_option("server.port"), token))

app = st.App(
    Path(__file__).with_name("ui.py"),
    routes=ROUTES,
    middleware=[Middleware(security.Gate, token=token)],
)
