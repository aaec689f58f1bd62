"""The launcher:  ``streamlit run dashboard/app.py -- --data DIR``.

It joins the page script and the HTTP routes that feed the viewer into one application.
"""

from pathlib import Path

import streamlit as st

from dashboard.api import ROUTES

app = st.App(Path(__file__).with_name("ui.py"), routes=ROUTES)
