// Package lambda is Lambda's Runtime API, as thin as it can be: AWS's own client for it costs more.
package lambda

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
)

// Request is an event of an HTTP API, payload format 2.0.
type Request struct {
	Headers               map[string]string `json:"headers"`
	PathParameters        map[string]string `json:"pathParameters"`
	QueryStringParameters map[string]string `json:"queryStringParameters"`
	Body                  string            `json:"body"`
	RequestContext        struct {
		HTTP struct {
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
	} `json:"requestContext"`
}

// Response is what an HTTP API takes.
type Response struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

// Reply is a response with a body of JSON.
func Reply(status int, body any) (Response, error) {
	text, err := json.Marshal(body)
	headers := map[string]string{"content-type": "application/json"}
	return Response{status, headers, string(text)}, err
}

// Refuse is an error that the client is told of.
func Refuse(status int, reason string) (Response, error) {
	return Reply(status, map[string]any{"error": map[string]string{"reason": reason}})
}

// Serve answers one event after another.
func Serve(handle func(Request) (Response, error)) {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		response, err := http.Get(base + "next")
		if err != nil {
			log.Fatal(err)
		}
		id := response.Header.Get("Lambda-Runtime-Aws-Request-Id")
		var event Request
		err = json.NewDecoder(response.Body).Decode(&event)
		response.Body.Close()
		var answer Response
		if err == nil {
			answer, err = handle(event)
		}
		if err != nil {
			post(base+id+"/error", map[string]string{"errorMessage": err.Error()})
		} else {
			post(base+id+"/response", answer)
		}
	}
}

func post(url string, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		log.Fatal(err)
	}
	response, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
}
