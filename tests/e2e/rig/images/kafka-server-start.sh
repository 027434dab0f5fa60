#!/bin/sh
exec java ${KAFKA_HEAP_OPTS:--Xmx320m -Xms320m} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData $KAFKA_LOG4J_OPTS \
    -cp '/opt/kafka/libs/*' kafka.Kafka "$@"
