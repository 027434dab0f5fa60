package dev.tocsin.bench;

import java.util.Arrays;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Counts the alerts of a service in windows of a minute, given out when the window closes; and escalates the third of
 * three that lie within a minute, after which the service begins anew. Events are taken as they come.
 */
public final class CountAndEscalate extends KeyedProcessFunction<String, Alert, Result> {
    static final int ESCALATES = 3;
    static final long MINUTE = 60_000;

    private transient ValueState<ServiceState> states;
    private transient Result result;

    @Override
    public void open(OpenContext context) {
        states = getRuntimeContext().getState(new ValueStateDescriptor<>("service", ServiceState.class));
        result = new Result();
    }

    @Override
    public void processElement(Alert alert, Context context, Collector<Result> out) throws Exception {
        ServiceState state = states.value();
        if (state == null) {
            state = new ServiceState();
        }
        count(state, alert.time, context);
        long since = escalate(state, alert.time);
        states.update(state);
        if (since != Long.MIN_VALUE) {
            out.collect(result.escalation(alert, since));
        }
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<Result> out) throws Exception {
        ServiceState state = states.value();
        long start = time + 1 - MINUTE;
        for (int i = 0; i < state.open; i++) {
            if (state.starts[i] == start) {
                out.collect(result.count(context.getCurrentKey(), start, state.totals[i]));
                System.arraycopy(state.starts, i + 1, state.starts, i, state.open - i - 1);
                System.arraycopy(state.totals, i + 1, state.totals, i, state.open - i - 1);
                state.open--;
                break;
            }
        }
        states.update(state);
    }

    private static void count(ServiceState state, long time, Context context) {
        long start = time - Math.floorMod(time, MINUTE);
        int at = state.open;
        while (at > 0 && state.starts[at - 1] > start) {
            at--;
        }
        if (at > 0 && state.starts[at - 1] == start) {
            state.totals[at - 1]++;
            return;
        }
        if (state.open == state.starts.length) {
            state.starts = Arrays.copyOf(state.starts, state.open * 2);
            state.totals = Arrays.copyOf(state.totals, state.open * 2);
        }
        System.arraycopy(state.starts, at, state.starts, at + 1, state.open - at);
        System.arraycopy(state.totals, at, state.totals, at + 1, state.open - at);
        state.starts[at] = start;
        state.totals[at] = 1;
        state.open++;
        context.timerService().registerEventTimeTimer(start + MINUTE - 1);
    }

    /** Counts an alert towards an escalation; the time of the first of them if it escalates. */
    private static long escalate(ServiceState state, long time) {
        long[] times = state.times;
        if (state.waiting > 0 && time < times[state.waiting - 1] - MINUTE) {
            return Long.MIN_VALUE;
        }
        int at = state.waiting;
        while (at > 0 && times[at - 1] > time) {
            times[at] = times[at - 1];
            at--;
        }
        times[at] = time;
        state.waiting++;
        int old = 0;
        while (times[old] < times[state.waiting - 1] - MINUTE) {
            old++;
        }
        if (old > 0) {
            System.arraycopy(times, old, times, 0, state.waiting - old);
            state.waiting -= old;
        }
        if (state.waiting < ESCALATES) {
            return Long.MIN_VALUE;
        }
        state.waiting = 0;
        return times[0];
    }
}
