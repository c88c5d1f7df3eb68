# One image for web, worker and beat (compose.yaml). It holds no secret, and nothing in it is written while it runs.
#
#   docker build --tag dokreg .
#
# BASE is any image with Python 3.11 or later and the GNU C library. PIP_INDEX_URL and its like, for those who install
# from an index of their own, are arguments of the first stage: no layer of the image, nor its history, has them.
ARG BASE=python:3.12-slim-bookworm
ARG BUILD_BASE=$BASE

FROM $BUILD_BASE AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
WORKDIR /opt/dokreg
COPY requirements.lock ./
RUN python -m venv .venv \
 && .venv/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check --only-binary :all: \
        --require-hashes --requirement requirements.lock \
 && .venv/bin/pip uninstall --quiet --yes pip setuptools
COPY . ./
# Compiled for good: at run time nothing could be written beside the sources. Readable for a user who owns none of it.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash . \
 && DOKREG_DATA=/tmp/build DOKREG_STATIC_ROOT=/opt/dokreg/collected .venv/bin/python manage.py prepare --static \
 && rm -r /tmp/build \
 && find . -path ./.venv -prune -o -exec chmod a+rX {} + \
 && mkdir -m 700 /data

FROM $BASE
ENV PATH=/opt/dokreg/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    HOME=/tmp \
    LOGNAME=dokreg \
    DOKREG_BIND=0.0.0.0:8000 \
    DOKREG_DATA=/data \
    DOKREG_STATIC_ROOT=/opt/dokreg/collected \
    DOKREG_LOCAL_DOCKER=false
# A name for the number: libraries ask what it is. Those who choose another number have LOGNAME.
RUN echo "dokreg:x:10001:10001::/tmp:/bin/false" >> /etc/passwd && echo "dokreg:x:10001:" >> /etc/group
WORKDIR /opt/dokreg
COPY --from=build --chown=10001:10001 /data /data
COPY --from=build /opt/dokreg /opt/dokreg
USER 10001:10001
EXPOSE 8000
# The name of the process comes with its command; compose.yaml has one for each.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["python", "-m", "dokreg.alive", "web"]
CMD ["python", "-m", "dokreg.start", "web"]
