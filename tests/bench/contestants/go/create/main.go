// POST /v1.0/customers
package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"tenure/app"
	"tenure/lambda"
)

type body struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Name          string `json:"name"`
	Detail        string `json:"detail"`
	Email         string `json:"email"`
	WebhookMethod string `json:"webhook_method"`
	WebhookURI    string `json:"webhook_uri"`
}

type attributes = map[string]any

func main() {
	tenure := app.New()
	lambda.Serve(func(request lambda.Request) (lambda.Response, error) {
		ctx := context.Background()
		caller, err := tenure.Caller(ctx, request.Headers, app.ProjectAdmin)
		if err != nil {
			return lambda.Response{}, err
		}
		if caller == nil {
			return lambda.Refuse(401, "AUTHENTICATION_REQUIRED")
		}
		var wanted body
		if err := json.Unmarshal([]byte(request.Body), &wanted); err != nil {
			return lambda.Refuse(400, "INVALID_BODY")
		}
		hash := app.HashPassword(wanted.Password)
		id, agent, now := app.UUID(), app.UUID(), app.Text(time.Now())
		partition, login := "CUSTOMER#"+id, app.SHA256(strings.ToLower(wanted.Username))
		customer := app.Customer{
			ID: id, Name: wanted.Name, Detail: wanted.Detail, Email: wanted.Email,
			WebhookMethod: wanted.WebhookMethod, WebhookURI: wanted.WebhookURI,
			BillingAccountID: "00000000-0000-0000-0000-000000000000", Status: "initial",
			IdentityVerificationStatus: "none", Create: now, Update: now, Sequence: 1,
		}
		place := attributes{"pk": partition, "sk": "A", "list_pk": "CUSTOMERS", "list_sk": now + "#" + id}
		lock := attributes{
			"pk": "USERNAME#" + login, "sk": "L", "customer_id": id, "agent_id": agent,
			"password_hash": hash, "epoch": 0,
		}
		first := attributes{
			"pk": partition, "sk": "AGENT#" + agent, "id": agent, "username": wanted.Username,
			"login": login, "name": "", "detail": "", "permission": app.Admin, "epoch": 0,
			"tm_create": now, "tm_update": now,
		}
		address := attributes{
			"pk": "EMAIL#" + app.SHA256(strings.ToLower(wanted.Email)), "sk": "L", "customer_id": id,
		}
		var writes []types.TransactWriteItem
		for _, item := range [][]any{{place, customer}, {lock}, {first}, {address}} {
			put, err := app.Put(tenure.Accounts, "pk", item...)
			if err != nil {
				return lambda.Response{}, err
			}
			writes = append(writes, put)
		}
		told, err := tenure.Told("customer_created", customer, 1)
		if err != nil {
			return lambda.Response{}, err
		}
		transaction := dynamodb.TransactWriteItemsInput{TransactItems: append(writes, told)}
		if _, err := tenure.Client.TransactWriteItems(ctx, &transaction); err != nil {
			return lambda.Response{}, err
		}
		return lambda.Reply(200, customer)
	})
}
