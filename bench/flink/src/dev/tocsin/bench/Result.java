package dev.tocsin.bench;

/** A row of the result: a window's count, or an escalation. One object an operator, filled again and again. */
public final class Result {
    public String service;

    /** Of a count: where its window begins. Of an escalation: the time of its first alert. In milliseconds since 1970. */
    public long time;

    /** Of a count. */
    public long total;

    /** Of an escalation: the whole alert that escalates; a count has none. */
    public byte[] record;

    /** Where the text of the severity begins in it. */
    public int severityAt;

    Result count(String service, long start, long total) {
        this.service = service;
        this.time = start;
        this.total = total;
        this.record = null;
        return this;
    }

    Result escalation(Alert alert, long since) {
        this.service = alert.service;
        this.time = since;
        this.record = alert.record;
        this.severityAt = alert.severityAt;
        return this;
    }
}
