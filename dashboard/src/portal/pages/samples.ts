/** Receivers that check a signature with the official libraries of Standard Webhooks. */

interface Sample {
  name: string;
  install: string;
  /** Start of a comment line. */
  comment: string;
  code: string;
}

export const SAMPLES: Sample[] = [
  {
    name: "JavaScript",
    install: "npm install standardwebhooks",
    comment: "//",
    code: `import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);

app.post("/webhooks", express.raw({ type: "*/*" }), (req, res) => {
  try {
    const event = webhook.verify(req.body, req.headers);
    queue.push(event);
    res.sendStatus(204);
  } catch {
    res.sendStatus(401);
  }
});`,
  },
  {
    name: "Python",
    install: "pip install standardwebhooks",
    comment: "#",
    code: `import os
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])

@app.post("/webhooks")
def receive():
    try:
        event = webhook.verify(request.get_data(), request.headers)
    except WebhookVerificationError:
        return "", 401
    queue.put(event)
    return "", 204`,
  },
  {
    name: "Go",
    install: "go get github.com/standard-webhooks/standard-webhooks/libraries/go",
    comment: "//",
    code: `webhook, err := standardwebhooks.NewWebhook(os.Getenv("WEBHOOK_SECRET"))

http.HandleFunc("/webhooks", func(w http.ResponseWriter, r *http.Request) {
    body, err := io.ReadAll(r.Body)
    if err != nil || webhook.Verify(body, r.Header) != nil {
        w.WriteHeader(http.StatusUnauthorized)
        return
    }
    queue <- body
    w.WriteHeader(http.StatusNoContent)
})`,
  },
  {
    name: "Rust",
    install: "cargo add standardwebhooks",
    comment: "//",
    code: `use standardwebhooks::Webhook;

async fn receive(headers: HeaderMap, body: Bytes) -> StatusCode {
    let secret = std::env::var("WEBHOOK_SECRET").expect("a secret");
    let webhook = Webhook::new(&secret).expect("a valid secret");
    match webhook.verify(&body, &headers) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::UNAUTHORIZED,
    }
}`,
  },
  {
    name: "Java",
    install: "com.standardwebhooks:standardwebhooks",
    comment: "//",
    code: `import com.standardwebhooks.Webhook;

Webhook webhook = new Webhook(System.getenv("WEBHOOK_SECRET"));

@PostMapping("/webhooks")
ResponseEntity<Void> receive(@RequestBody String body, @RequestHeader HttpHeaders headers) {
    try {
        webhook.verify(body, java.net.http.HttpHeaders.of(headers, (name, value) -> true));
        return ResponseEntity.noContent().build();
    } catch (WebhookVerificationException refused) {
        return ResponseEntity.status(401).build();
    }
}`,
  },
  {
    name: "Ruby",
    install: "gem install standardwebhooks",
    comment: "#",
    code: `require "standardwebhooks"

webhook = StandardWebhooks::Webhook.new(ENV.fetch("WEBHOOK_SECRET"))

post "/webhooks" do
  headers = %w[webhook-id webhook-timestamp webhook-signature].to_h do |name|
    [name, request.env["HTTP_#{name.upcase.tr("-", "_")}"]]
  end
  event = webhook.verify(request.body.read, headers)
  QUEUE << event
  204
rescue StandardWebhooks::WebhookVerificationError
  401
end`,
  },
  {
    name: "PHP",
    install: "composer require standard-webhooks/standard-webhooks:dev-main",
    comment: "//",
    code: `<?php
use StandardWebhooks\\Webhook;
use StandardWebhooks\\Exception\\WebhookVerificationException;

$webhook = new Webhook(getenv("WEBHOOK_SECRET"));
$headers = array_change_key_case(getallheaders());

try {
    $event = $webhook->verify(file_get_contents("php://input"), $headers);
    http_response_code(204);
} catch (WebhookVerificationException $refused) {
    http_response_code(401);
}`,
  },
  {
    name: "C#",
    install: "dotnet add package StandardWebhooks",
    comment: "//",
    code: `using StandardWebhooks;

var secret = Environment.GetEnvironmentVariable("WEBHOOK_SECRET");
var webhook = new StandardWebhook(secret);

app.MapPost("/webhooks", async (HttpRequest request) =>
{
    using var reader = new StreamReader(request.Body);
    var body = await reader.ReadToEndAsync();
    try
    {
        webhook.Verify(body, request.Headers);
        return Results.NoContent();
    }
    catch (WebhookVerificationException)
    {
        return Results.Unauthorized();
    }
});`,
  },
];
