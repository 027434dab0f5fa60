#!/bin/sh
exec java -Xmx128m -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp '/opt/kafka/libs/*' kafka.tools.StorageTool "$@"
