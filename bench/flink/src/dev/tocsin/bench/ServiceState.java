package dev.tocsin.bench;

/** What the job keeps of a service: its open windows, and the alerts that have not escalated. A plain object for Flink's serializer. */
public final class ServiceState {
    /** Starts of open windows, ascending, in milliseconds since 1970; the first {@link #open} count. */
    public long[] starts = new long[2];

    /** Alerts of each open window. */
    public long[] totals = new long[2];

    public int open;

    /** Times of alerts that have not escalated, ascending; the first {@link #waiting} count. */
    public long[] times = new long[CountAndEscalate.ESCALATES];

    public int waiting;
}
