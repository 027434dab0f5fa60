FROM scratch
COPY . /
ENV PATH=/usr/local/bin:/bin
