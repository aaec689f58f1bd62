# All commands and the dashboard in one image; movies and results lie in /data.
#     docker build -t celltrail .
#     docker run --rm -p 127.0.0.1:8501:8501 -v "$PWD":/data celltrail
#     docker run --rm -v "$PWD":/data celltrail track /data/masks --out /data/RES
FROM python:3.11-slim

WORKDIR /app
COPY constraints.txt ./
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0
COPY pyproject.toml README.md LICENSE ./
COPY celltrail celltrail
COPY data data
COPY segmentation segmentation
COPY tracking tracking
COPY evaluation evaluation
COPY dashboard dashboard
RUN pip install --no-cache-dir --constraint constraints.txt ".[segmentation,dashboard,evaluation,interop,cluster]"

RUN useradd --create-home --uid 1000 celltrail && mkdir /data && chown celltrail /data
USER 1000
WORKDIR /data
EXPOSE 8501
HEALTHCHECK --start-period=30s --timeout=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
ENTRYPOINT ["celltrail"]
CMD ["dashboard", "/data", "--host", "0.0.0.0", "--no-browser"]
