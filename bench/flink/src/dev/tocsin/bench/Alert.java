package dev.tocsin.bench;

/** What the job reads of an alert. One object a parser, filled again and again: object reuse is on. */
public final class Alert {
    /** Event time, in milliseconds since 1970. */
    public long time;

    /** Whether its severity is CRITICAL. What follows is read of no other. */
    public boolean critical;

    public String service;

    /** The whole alert, which an escalation takes along. */
    public byte[] record;

    /** Where the text of the severity begins in it, with its quotation mark. */
    public int severityAt;
}
