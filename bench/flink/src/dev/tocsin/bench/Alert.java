package dev.tocsin.bench;

/** What the job reads of an alert. One object a parser, filled again and again: object reuse is on. */
public final class Alert {
    /** Event time, in milliseconds since 1970. */
    public long time;

    /** Whether its severity is CRITICAL; the service is read of no other. */
    public boolean critical;

    public String service;
}
