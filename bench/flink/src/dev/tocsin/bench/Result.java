package dev.tocsin.bench;

/** A row of the result: a window's count, or an escalation. One object an operator, filled again and again. */
public final class Result {
    public boolean isEscalation;
    public String service;

    /** Of a count: where its window begins. Of an escalation: the time of the alert. In milliseconds since 1970. */
    public long time;

    /** Of a count: the total. Of an escalation: the time of the first of its alerts. */
    public long value;

    Result count(String service, long start, long total) {
        return set(false, service, start, total);
    }

    Result escalation(String service, long time, long since) {
        return set(true, service, time, since);
    }

    private Result set(boolean isEscalation, String service, long time, long value) {
        this.isEscalation = isEscalation;
        this.service = service;
        this.time = time;
        this.value = value;
        return this;
    }
}
