import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Puts standard input on a topic as one record, without key or headers: BROKERS TOPIC. */
public class Produce {
    public static void main(String[] args) throws Exception {
        Map<String, Object> options = Map.of("bootstrap.servers", args[0], "acks", "all");
        byte[] value = System.in.readAllBytes();
        try (var producer = new KafkaProducer<>(options, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.send(new ProducerRecord<>(args[1], value)).get();
        }
    }
}
