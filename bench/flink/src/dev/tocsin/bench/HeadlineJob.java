package dev.tocsin.bench;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * The headline job on Flink, tuned: CRITICAL alerts of each service, counted by the minute and escalated by threes.
 *
 * <p>Runs over the topic once to its end, so that everything is compiled, and then once more, without an end; that run
 * is measured from the line {@link #BEGUN} on. Arguments are {@code name=value}.
 */
public final class HeadlineJob {
    /** Printed when the run that is measured works. */
    static final String BEGUN = "the measured run has begun";

    private static final Duration OUT_OF_ORDER = Duration.ofSeconds(5);

    private final Map<String, String> arguments;

    private HeadlineJob(Map<String, String> arguments) {
        this.arguments = arguments;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> named = new HashMap<>();
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            named.put(parts[0], parts[1]);
        }
        HeadlineJob job = new HeadlineJob(named);
        if (Boolean.parseBoolean(job.argument("warm-up"))) {
            job.environment("warm-up", true).execute("warm-up");
        }
        JobClient client = job.environment("measured", false).executeAsync("measured");
        while (client.getJobStatus().get() != JobStatus.RUNNING) {
            Thread.onSpinWait();
        }
        System.out.println(BEGUN);
        client.getJobExecutionResult().get();
    }

    /** The job, over the whole topic; with an end it stops where the topic ends now. Results go to topics of its own. */
    private StreamExecutionEnvironment environment(String run, boolean hasEnd) {
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.createLocalEnvironment(configuration());
        environment.setParallelism(parallelism());
        environment
                .fromSource(source(run, hasEnd), watermarks(), "alerts")
                .filter(alert -> alert.critical)
                .keyBy(alert -> alert.service)
                .process(new CountAndEscalate())
                .sinkTo(sink(run));
        return environment;
    }

    private Configuration configuration() {
        Configuration configuration = new Configuration();
        configuration.set(PipelineOptions.OBJECT_REUSE, true);
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        configuration.set(PipelineOptions.AUTO_WATERMARK_INTERVAL, Duration.ofMillis(200));
        configuration.set(ExecutionOptions.BUFFER_TIMEOUT, Duration.ofMillis(100));
        configuration.set(StateBackendOptions.STATE_BACKEND, "hashmap");
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "disable");
        configuration.set(TaskManagerOptions.NUM_TASK_SLOTS, parallelism());
        // The state is on the heap: nothing else may take memory from it.
        configuration.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ZERO);
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, checkpoints());
        configuration.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        configuration.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, "file://" + argument("folder"));
        return configuration;
    }

    private KafkaSource<Alert> source(String run, boolean hasEnd) {
        KafkaSourceBuilder<Alert> source = KafkaSource.<Alert>builder()
                .setBootstrapServers(argument("bootstrap"))
                .setTopics(argument("topic"))
                .setGroupId(argument("group") + "-" + run)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setValueOnlyDeserializer(new AlertParser(Boolean.parseBoolean(argument("strict"))))
                .setProperty("max.poll.records", "20000")
                .setProperty("fetch.min.bytes", "1048576")
                .setProperty("fetch.max.wait.ms", "50")
                .setProperty("max.partition.fetch.bytes", "4194304")
                .setProperty("receive.buffer.bytes", "8388608");
        if (hasEnd) {
            source.setBounded(OffsetsInitializer.latest());
        }
        return source.build();
    }

    /** Set before anything is dropped: each alert moves the watermark. */
    private static WatermarkStrategy<Alert> watermarks() {
        return WatermarkStrategy.<Alert>forBoundedOutOfOrderness(OUT_OF_ORDER)
                .withTimestampAssigner((alert, ofRecord) -> alert.time);
    }

    private KafkaSink<Result> sink(String run) {
        Properties properties = new Properties();
        properties.setProperty("compression.type", "lz4");
        properties.setProperty("linger.ms", "5");
        properties.setProperty("batch.size", "262144");
        properties.setProperty("transaction.timeout.ms", "600000");
        return KafkaSink.<Result>builder()
                .setBootstrapServers(argument("bootstrap"))
                .setKafkaProducerConfig(properties)
                .setRecordSerializer(new ResultWriter(argument(run + "-counts"), argument(run + "-escalations")))
                .setDeliveryGuarantee(DeliveryGuarantee.valueOf(argument("delivery")))
                .setTransactionalIdPrefix(argument("group") + "-" + run)
                .build();
    }

    private int parallelism() {
        return Integer.parseInt(argument("parallelism"));
    }

    private Duration checkpoints() {
        return Duration.ofMillis(Long.parseLong(argument("checkpoint-millis")));
    }

    private String argument(String name) {
        String value = arguments.get(name);
        if (value == null) {
            throw new IllegalArgumentException(name + "=VALUE is missing");
        }
        return value;
    }
}
