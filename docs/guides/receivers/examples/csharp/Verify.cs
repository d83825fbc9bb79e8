// #region verify
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;

public static class Webhooks
{
    const long ToleranceSeconds = 5 * 60;

    /// <summary>Returns whether a request is from the sender and recent. The body is the body as it arrived, not parsed.</summary>
    public static bool Verify(string secret, IDictionary<string, string> headers, byte[] body)
    {
        if (!headers.TryGetValue("webhook-id", out var id)
            || !headers.TryGetValue("webhook-timestamp", out var timestamp)
            || !headers.TryGetValue("webhook-signature", out var signatures)
            || !long.TryParse(timestamp, out var seconds)
            || Math.Abs(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - seconds) > ToleranceSeconds)
        {
            return false;
        }
        var key = Convert.FromBase64String(secret.StartsWith("whsec_") ? secret.Substring(6) : secret);
        var signed = Encoding.UTF8.GetBytes(id + "." + timestamp + ".").Concat(body).ToArray();
        using (var mac = new HMACSHA256(key))
        {
            var expected = Encoding.ASCII.GetBytes("v1," + Convert.ToBase64String(mac.ComputeHash(signed)));
            return signatures.Split(' ').Any(signature => IsEqual(Encoding.UTF8.GetBytes(signature), expected));
        }
    }

    // As CryptographicOperations.FixedTimeEquals, which .NET Framework lacks.
    static bool IsEqual(byte[] given, byte[] expected)
    {
        var difference = given.Length ^ expected.Length;
        for (var index = 0; index < given.Length && index < expected.Length; index++)
        {
            difference |= given[index] ^ expected[index];
        }
        return difference == 0;
    }
}
// #endregion verify

public static class Program
{
    public static void Main()
    {
        var headers = new Dictionary<string, string>();
        foreach (var name in new[] { "webhook-id", "webhook-timestamp", "webhook-signature" })
        {
            var value = Environment.GetEnvironmentVariable(name.ToUpperInvariant().Replace('-', '_'));
            if (value != null) headers[name] = value;
        }
        var body = new MemoryStream();
        Console.OpenStandardInput().CopyTo(body);
        var secret = Environment.GetEnvironmentVariable("WEBHOOK_SECRET");
        Console.WriteLine(Webhooks.Verify(secret, headers, body.ToArray()) ? "valid" : "invalid");
    }
}
