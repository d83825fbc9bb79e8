# region verify
require "openssl"

TOLERANCE_S = 5 * 60

# Returns whether a request is from the sender and recent. `body` is the body as it arrived, not parsed.
def verify(secret, headers, body)
  id, timestamp, signatures = headers.values_at("webhook-id", "webhook-timestamp", "webhook-signature")
  return false unless id && signatures && timestamp&.match?(/\A\d+\z/)
  return false if (Time.now.to_i - timestamp.to_i).abs > TOLERANCE_S

  key = secret.delete_prefix("whsec_").unpack1("m")
  expected = [OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{timestamp}.".b + body)].pack("m0")
  signatures.split(" ").any? do |signature|
    version, given = signature.split(",", 2)
    version == "v1" && OpenSSL.secure_compare(given.to_s, expected)
  end
end
# endregion verify

if $PROGRAM_NAME == __FILE__
  names = { "webhook-id" => "WEBHOOK_ID", "webhook-timestamp" => "WEBHOOK_TIMESTAMP", "webhook-signature" => "WEBHOOK_SIGNATURE" }
  headers = names.transform_values { |name| ENV[name] }.compact
  puts verify(ENV.fetch("WEBHOOK_SECRET"), headers, $stdin.binmode.read) ? "valid" : "invalid"
end
