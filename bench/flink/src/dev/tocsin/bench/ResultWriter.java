package dev.tocsin.bench;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Writes results as Tocsin writes them, but for the fields of its own, whose names begin with `_`. */
public final class ResultWriter implements KafkaRecordSerializationSchema<Result> {
    private static final long MINUTE = CountAndEscalate.MINUTE;
    private static final byte[] CRITICAL = "\"CRITICAL\"".getBytes(StandardCharsets.UTF_8);
    private static final byte[] ESCALATED = "\"ESCALATED\"".getBytes(StandardCharsets.UTF_8);

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
        byte[] key = result.service.getBytes(StandardCharsets.UTF_8);
        if (result.record == null) {
            return new ProducerRecord<>(counts, key, count(result));
        }
        return new ProducerRecord<>(escalations, key, escalation(result));
    }

    private byte[] count(Result result) {
        text.append("{\"service\":\"").append(result.service).append("\",\"window_start\":\"");
        time(result.time);
        text.append("\",\"window_end\":\"");
        time(result.time + MINUTE);
        text.append("\",\"total\":").append(result.total).append('}');
        return utf8();
    }

    /** The alert with another severity, and with what is known of the escalation behind its last field. */
    private byte[] escalation(Result result) {
        text.append(",\"escalation_count\":").append(CountAndEscalate.ESCALATES).append(",\"escalation_since\":\"");
        time(result.time);
        text.append("\"}");
        byte[] end = utf8();
        byte[] record = result.record;
        int behind = result.severityAt + CRITICAL.length;
        int last = record.length - 1;
        while (record[last] != '}') {
            last--;
        }
        byte[] value = new byte[result.severityAt + ESCALATED.length + last - behind + end.length];
        System.arraycopy(record, 0, value, 0, result.severityAt);
        System.arraycopy(ESCALATED, 0, value, result.severityAt, ESCALATED.length);
        System.arraycopy(record, behind, value, result.severityAt + ESCALATED.length, last - behind);
        System.arraycopy(end, 0, value, value.length - end.length, end.length);
        return value;
    }

    private byte[] utf8() {
        return text.toString().getBytes(StandardCharsets.UTF_8);
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
