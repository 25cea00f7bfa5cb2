// Publishes LeadCaptured and TouchRecorded for some leads with Apache's own Kafka client and Avro library.
// It takes the contracts from the .avsc files, registers them (subject = topic + record name) and frames by the
// Confluent wire format: a zero byte, the schema id as a big-endian int32, the Avro body.
//
// java -cp 'libs/*' Publish.java BROKERS REGISTRY_URL TOPIC_PREFIX SCHEMAS_DIR LEAD_ID...

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Publish {
    record Contract(String topic, Schema schema, int id) {
        GenericRecordBuilder builder() {
            return new GenericRecordBuilder(schema);
        }

        Object symbol(String field, String symbol) {
            return new GenericData.EnumSymbol(schema.getField(field).schema(), symbol);
        }

        byte[] frame(GenericRecord value) throws Exception {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            DataOutputStream header = new DataOutputStream(bytes);
            header.writeByte(0);
            header.writeInt(id);
            BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(bytes, null);
            new GenericDatumWriter<GenericRecord>(schema).write(value, encoder);
            encoder.flush();
            return bytes.toByteArray();
        }
    }

    static final ObjectMapper JSON = new ObjectMapper();
    static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    static Contract contract(String registry, String topic, Path file) throws Exception {
        String text = Files.readString(file);
        Schema schema = new Schema.Parser().parse(text);
        String subject = URLEncoder.encode(topic + "-" + schema.getFullName(), StandardCharsets.UTF_8);
        HttpRequest request = HttpRequest.newBuilder(URI.create(registry + "/subjects/" + subject + "/versions"))
            .header("Content-Type", "application/vnd.schemaregistry.v1+json")
            .POST(HttpRequest.BodyPublishers.ofString(JSON.writeValueAsString(Map.of("schema", text))))
            .build();
        HttpResponse<String> answer = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
        JsonNode body = JSON.readTree(answer.body());
        if (answer.statusCode() != 200) {
            throw new IllegalStateException("registry answered " + answer.statusCode() + ": " + body);
        }
        return new Contract(topic, schema, body.get("id").asInt());
    }

    public static void main(String[] args) throws Exception {
        String registry = args[1];
        String prefix = args[2];
        Path schemas = Path.of(args[3]);
        List<String> leads = List.of(args).subList(4, args.length);
        Contract captured = contract(registry, prefix + "leads", schemas.resolve("leads/LeadCaptured.avsc"));
        Contract touched = contract(registry, prefix + "touches", schemas.resolve("touches/TouchRecorded.avsc"));
        long now = System.currentTimeMillis();

        Map<String, Object> settings = Map.of("bootstrap.servers", args[0], "acks", "all");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, byte[]> producer =
                new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            for (String lead : leads) {
                GenericRecord capture = captured.builder()
                    .set("event_id", lead + "-captured").set("lead_id", lead).set("occurred_at", now - 60_000)
                    .set("source_system", "java").set("source", "website").set("hand_raise", true)
                    .build();
                GenericRecord touch = touched.builder()
                    .set("event_id", lead + "-touched").set("lead_id", lead).set("occurred_at", now - 30_000)
                    .set("source_system", "java")
                    .set("channel", touched.symbol("channel", "call"))
                    .set("direction", touched.symbol("direction", "outbound"))
                    .set("origin", touched.symbol("origin", "sales"))
                    .set("actor", touched.symbol("actor", "human"))
                    .set("outcome", touched.symbol("outcome", "connected"))
                    .build();
                sent.add(producer.send(new ProducerRecord<>(captured.topic(), lead, captured.frame(capture))));
                sent.add(producer.send(new ProducerRecord<>(touched.topic(), lead, touched.frame(touch))));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
        System.out.println(sent.size());
    }
}
