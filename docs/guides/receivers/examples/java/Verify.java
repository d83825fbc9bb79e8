// #region verify
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Verify {
    static final long TOLERANCE_S = 5 * 60;

    /** Returns whether a request is from the sender and recent. The body is the body as it arrived, not parsed. */
    static boolean verify(String secret, Map<String, String> headers, byte[] body) throws GeneralSecurityException {
        String id = headers.get("webhook-id");
        String timestamp = headers.get("webhook-timestamp");
        String signatures = headers.get("webhook-signature");
        if (id == null || timestamp == null || signatures == null || !timestamp.matches("[0-9]{1,12}")) {
            return false;
        }
        if (Math.abs(Instant.now().getEpochSecond() - Long.parseLong(timestamp)) > TOLERANCE_S) {
            return false;
        }
        byte[] key = Base64.getDecoder().decode(secret.replaceFirst("^whsec_", ""));
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
        byte[] expected = Base64.getEncoder().encode(mac.doFinal(body));
        for (String signature : signatures.split(" ")) {
            boolean isVersion1 = signature.startsWith("v1,");
            if (isVersion1 && MessageDigest.isEqual(signature.substring(3).getBytes(StandardCharsets.UTF_8), expected)) {
                return true;
            }
        }
        return false;
    }
    // #endregion verify

    public static void main(String[] arguments) throws Exception {
        Map<String, String> headers = new java.util.HashMap<>();
        headers.put("webhook-id", System.getenv("WEBHOOK_ID"));
        headers.put("webhook-timestamp", System.getenv("WEBHOOK_TIMESTAMP"));
        headers.put("webhook-signature", System.getenv("WEBHOOK_SIGNATURE"));
        boolean isValid = verify(System.getenv("WEBHOOK_SECRET"), headers, System.in.readAllBytes());
        System.out.println(isValid ? "valid" : "invalid");
    }
}
