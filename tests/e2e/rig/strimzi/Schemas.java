import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.introspect.BeanPropertyDefinition;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;

/**
 * Prints the OpenAPI schemas of Strimzi's kinds, by kind, as its own classes have them: Strimzi makes its definitions of the
 * same classes, but does not publish them where Maven finds them.
 *
 * Every field and its type is there, so that an API server refuses what Strimzi does not know; bounds and rules are not.
 */
public final class Schemas {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final String OWN = "io.strimzi.";
    private static final List<String> KINDS = List.of(
            "io.strimzi.api.kafka.model.kafka.Kafka",
            "io.strimzi.api.kafka.model.nodepool.KafkaNodePool",
            "io.strimzi.api.kafka.model.topic.KafkaTopic",
            "io.strimzi.api.kafka.model.user.KafkaUser");

    /** Classes within one another on the way to the one that is looked at. */
    private final Deque<Class<?>> within = new ArrayDeque<>();

    public static void main(String[] arguments) throws Exception {
        ObjectNode all = MAPPER.createObjectNode();
        for (String name : KINDS) {
            Class<?> kind = Class.forName(name);
            ObjectNode schema = MAPPER.createObjectNode().put("type", "object");
            ObjectNode parts = schema.putObject("properties");
            Schemas schemas = new Schemas();
            for (BeanPropertyDefinition part : properties(type(kind))) {
                if (part.getName().equals("spec") || part.getName().equals("status")) {
                    parts.set(part.getName(), schemas.of(part.getPrimaryType()));
                }
            }
            all.set(kind.getSimpleName(), schema);
        }
        System.out.println(MAPPER.writeValueAsString(all));
    }

    private static JavaType type(Class<?> of) {
        return MAPPER.constructType(of);
    }

    private static List<BeanPropertyDefinition> properties(JavaType type) {
        return MAPPER.getSerializationConfig().introspect(type).findProperties();
    }

    private ObjectNode of(JavaType type) {
        Class<?> raw = type.getRawClass();
        ObjectNode schema = MAPPER.createObjectNode();
        if (raw == String.class) {
            return schema.put("type", "string");
        } else if (raw == boolean.class || raw == Boolean.class) {
            return schema.put("type", "boolean");
        } else if (raw == int.class || raw == Integer.class || raw == long.class || raw == Long.class) {
            return schema.put("type", "integer");
        } else if (raw == double.class || raw == Double.class) {
            return schema.put("type", "number");
        } else if (raw.isEnum()) {
            schema.put("type", "string");
            for (Object word : raw.getEnumConstants()) {
                schema.withArray("enum").add(MAPPER.convertValue(word, String.class));
            }
            return schema;
        } else if (type.isCollectionLikeType() || type.isArrayType()) {
            schema.put("type", "array").set("items", of(type.getContentType()));
            return schema;
        } else if (Map.class.isAssignableFrom(raw)) {
            schema.put("type", "object").put("x-kubernetes-preserve-unknown-fields", true);
            return schema;
        } else if (!raw.getName().startsWith(OWN) || within.contains(raw)) {
            // Kubernetes' own types, and what holds itself.
            return schema.put("x-kubernetes-preserve-unknown-fields", true);
        }
        within.push(raw);
        ObjectNode fields = schema.put("type", "object").putObject("properties");
        add(fields, type);
        // Of one of several kinds, by its `type`: what any of them has.
        JsonSubTypes kinds = raw.getAnnotation(JsonSubTypes.class);
        if (kinds != null) {
            fields.putObject("type").put("type", "string");
            for (JsonSubTypes.Type kind : kinds.value()) {
                add(fields, type(kind.value()));
            }
        }
        within.pop();
        return schema;
    }

    private void add(ObjectNode fields, JavaType type) {
        for (BeanPropertyDefinition property : properties(type)) {
            boolean isAnything = property.getName().equals("additionalProperties");
            if (!isAnything && property.getPrimaryType() != null && !fields.has(property.getName())) {
                fields.set(property.getName(), of(property.getPrimaryType()));
            }
        }
    }
}
