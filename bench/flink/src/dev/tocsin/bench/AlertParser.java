package dev.tocsin.bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;

/**
 * Reads an alert with Jackson's streaming parser, field by field, and stops where the rest no longer matters: what
 * stands behind the severity is not looked at, unless the job is strict.
 *
 * <p>Each record gives an alert, also one that the job will drop: watermarks come from all of them.
 */
public final class AlertParser extends AbstractDeserializationSchema<Alert> {
    private static final int ALL = 3;

    private final boolean strict;
    private transient JsonFactory factory;
    private transient Alert alert;
    private transient char[] service;
    private transient Map<String, String> services;

    public AlertParser(boolean strict) {
        super(Alert.class);
        this.strict = strict;
    }

    @Override
    public void open(InitializationContext context) {
        factory = JsonFactory.builder().disable(StreamReadFeature.AUTO_CLOSE_SOURCE).build();
        alert = new Alert();
        service = new char[256];
        services = new HashMap<>();
    }

    @Override
    public Alert deserialize(byte[] record) throws IOException {
        alert.critical = false;
        alert.service = null;
        alert.record = null;
        int serviceLength = 0;
        int found = 0;
        try (JsonParser parser = factory.createParser(record)) {
            parser.nextToken();
            for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
                switch (name) {
                    case "ts" -> {
                        alert.time = parser.nextLongValue(Long.MIN_VALUE);
                        found++;
                    }
                    case "service" -> {
                        parser.nextToken();
                        serviceLength = keepService(parser);
                        found++;
                    }
                    case "severity" -> {
                        parser.nextToken();
                        alert.critical = isCritical(parser);
                        if (alert.critical) {
                            alert.severityAt = (int) parser.currentTokenLocation().getByteOffset();
                        }
                        found++;
                    }
                    default -> {
                        parser.nextToken();
                        parser.skipChildren();
                    }
                }
                if (found == ALL && !strict) {
                    break;
                }
            }
            if (strict && (parser.currentToken() != JsonToken.END_OBJECT || parser.nextToken() != null)) {
                throw new IOException("more than one object in a record");
            }
        }
        if (alert.critical) {
            String text = new String(service, 0, serviceLength);
            String known = services.putIfAbsent(text, text);
            alert.service = known == null ? text : known;
            alert.record = record;
        }
        return alert;
    }

    /** Copies the text of the service, so that only a CRITICAL alert makes a string of it. */
    private int keepService(JsonParser parser) throws IOException {
        int length = parser.getTextLength();
        if (length > service.length) {
            service = new char[length * 2];
        }
        System.arraycopy(parser.getTextCharacters(), parser.getTextOffset(), service, 0, length);
        return length;
    }

    private static boolean isCritical(JsonParser parser) throws IOException {
        final String wanted = "CRITICAL";
        if (parser.getTextLength() != wanted.length()) {
            return false;
        }
        char[] text = parser.getTextCharacters();
        int offset = parser.getTextOffset();
        for (int i = 0; i < wanted.length(); i++) {
            if (text[offset + i] != wanted.charAt(i)) {
                return false;
            }
        }
        return true;
    }
}
