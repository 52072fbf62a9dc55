# syntax=docker/dockerfile:1.7
# The image of every node of a cluster, for CPUs or with PyTorch's CUDA build. Not built where it was written: try it
# before you rely on it.
#
#   docker build                            -t registry.example.com/segtalker:0.1.0-ray2.60.0-py311-cpu .
#   docker build --build-arg FLAVOUR=cuda   -t registry.example.com/segtalker:0.1.0-ray2.60.0-py311-cuda .
#
# The digest is that of the index of all platforms. CUDA itself comes with PyTorch's wheels; a node needs NVIDIA's
# driver and container toolkit.
ARG FLAVOUR=cpu

FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d AS base
# libgl1 and libglib2.0-0 are OpenCV's; KubeRay probes with wget, the cluster launcher copies with rsync; ffmpeg only
# joins what yt-dlp fetches, everything else reads and writes video through PyAV's own copy.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ffmpeg libgl1 libglib2.0-0 rsync wget \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 --shell /bin/bash segtalker \
 && install -d -o segtalker -g segtalker /opt/segtalker /opt/segtalker/cache /cache
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 \
    SEGTALKER_CACHE=/opt/segtalker/cache \
    RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_LOG_MONITOR_MAX_OPEN_FILES=20
WORKDIR /opt/segtalker
COPY constraints.txt ./

FROM base AS torch-cpu
RUN pip install -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu torch torchvision

FROM base AS torch-cuda
RUN pip install -c constraints.txt torch torchvision
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM torch-${FLAVOUR} AS segtalker
COPY --chown=segtalker:segtalker pyproject.toml README.md ./
COPY --chown=segtalker:segtalker segtalker segtalker
COPY --chown=segtalker:segtalker ray_jobs ray_jobs
COPY --chown=segtalker:segtalker serve serve
# boto3: the cluster launcher's autoscaler asks AWS for nodes from the head.
RUN pip install -c constraints.txt '.[ray,train,metrics,download]' boto3 \
 && rm -rf build segtalker.egg-info segtalker ray_jobs serve
COPY --chown=segtalker:segtalker configs configs
USER segtalker
RUN segtalker weights fetch faces
CMD ["segtalker", "doctor"]
