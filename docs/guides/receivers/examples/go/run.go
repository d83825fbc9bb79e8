package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	header := http.Header{}
	header.Set("webhook-id", os.Getenv("WEBHOOK_ID"))
	header.Set("webhook-timestamp", os.Getenv("WEBHOOK_TIMESTAMP"))
	header.Set("webhook-signature", os.Getenv("WEBHOOK_SIGNATURE"))
	body, err := io.ReadAll(os.Stdin)
	if err == nil && Verify(os.Getenv("WEBHOOK_SECRET"), header, body) {
		fmt.Println("valid")
	} else {
		fmt.Println("invalid")
	}
}
