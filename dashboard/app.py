"""The launcher:  ``streamlit run dashboard/app.py -- --data DIR``.

It joins the page script and the HTTP routes that feed the viewer into one application.
"""

import sys
import threading
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

# What the pages need is imported here, before the server listens, so that the first click does not wait for it.
from celltrail.dashboard.opening import warm
from celltrail.dashboard.serving import security
from celltrail.dashboard.serving.api import ROUTES

address = st.get_option("server.address")
token = security.token_for(address)
if token is not None:
    sys.stderr.write(security.warning(address, st.get_option("server.port"), token))

threading.Thread(target=warm.open_first, args=(sys.argv[1:],), daemon=True).start()
app = st.App(
    Path(__file__).with_name("ui.py"),
    routes=ROUTES,
    middleware=[Middleware(security.Gate, token=token)],
)
