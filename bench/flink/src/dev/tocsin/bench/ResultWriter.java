package dev.tocsin.bench;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Writes results as Tocsin writes them, but for the fields of its own, whose names begin with `_`. */
public final class ResultWriter implements KafkaRecordSerializationSchema<Result> {
    private static final long MINUTE = CountAndEscalate.MINUTE;

    private final String counts;
    private final String escalations;
    private transient StringBuilder text;
    private transient long minute;
    private transient String prefix;

    public ResultWriter(String counts, String escalations) {
        this.counts = counts;
        this.escalations = escalations;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(Result result, KafkaSinkContext context, Long timestamp) {
        if (text == null) {
            text = new StringBuilder(256);
            prefix = "";
        }
        text.setLength(0);
        if (result.isEscalation) {
            text.append("{\"time\":\"");
            time(result.time);
            text.append("\",\"service\":\"").append(result.service);
            text.append("\",\"severity\":\"ESCALATED\",\"escalation_count\":").append(CountAndEscalate.ESCALATES);
            text.append(",\"escalation_since\":\"");
            time(result.value);
            text.append("\"}");
        } else {
            text.append("{\"service\":\"").append(result.service).append("\",\"window_start\":\"");
            time(result.time);
            text.append("\",\"window_end\":\"");
            time(result.time + MINUTE);
            text.append("\",\"total\":").append(result.value).append('}');
        }
        byte[] key = result.service.getBytes(StandardCharsets.UTF_8);
        byte[] value = text.toString().getBytes(StandardCharsets.UTF_8);
        return new ProducerRecord<>(result.isEscalation ? escalations : counts, key, value);
    }

    /** As RFC 3339 has it, with milliseconds if there are any. Up to the minute it is kept from the last time. */
    private void time(long millis) {
        long rest = Math.floorMod(millis, MINUTE);
        if (prefix.isEmpty() || minute != millis - rest) {
            minute = millis - rest;
            prefix = Instant.ofEpochMilli(minute).toString().substring(0, "2026-01-01T00:00:".length());
        }
        text.append(prefix);
        digits(rest / 1_000, 10);
        if (rest % 1_000 != 0) {
            text.append('.');
            digits(rest % 1_000, 100);
        }
        text.append('Z');
    }

    private void digits(long number, long unit) {
        for (long rest = unit; rest > 0; rest /= 10) {
            text.append((char) ('0' + number / rest % 10));
        }
    }
}
