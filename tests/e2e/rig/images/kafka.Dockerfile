FROM docker.io/tocsin/base:test
COPY java /opt/java
COPY libs /opt/kafka/libs
COPY bin /opt/kafka/bin
ENV PATH=/opt/java/bin:/usr/local/bin:/bin
USER appuser
