// POST /auth/login
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"tenure/app"
	"tenure/lambda"
)

type body struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

type lock struct {
	CustomerID   string `dynamodbav:"customer_id"`
	AgentID      string `dynamodbav:"agent_id"`
	PasswordHash string `dynamodbav:"password_hash"`
}

func main() {
	tenure := app.New()
	lambda.Serve(func(request lambda.Request) (lambda.Response, error) {
		ctx := context.Background()
		var given body
		if err := json.Unmarshal([]byte(request.Body), &given); err != nil {
			return lambda.Refuse(400, "INVALID_BODY")
		}
		var known lock
		work := tenure.CountAttempt(ctx, given.Username, request.RequestContext.HTTP.SourceIP)
		err := app.All(append(work, func() error {
			_, err := tenure.Get(ctx, "USERNAME#"+app.SHA256(strings.ToLower(given.Username)), "L", &known)
			return err
		})...)
		if err != nil {
			return lambda.Response{}, err
		}
		if !app.VerifyPassword(given.Password, known.PasswordHash) {
			return lambda.Refuse(401, "INVALID_CREDENTIALS")
		}
		random := make([]byte, 32)
		rand.Read(random)
		token := base64.RawURLEncoding.EncodeToString(random)
		expires := time.Now().Add(7 * 24 * time.Hour)
		put, err := app.Put(tenure.Accounts, "pk", map[string]any{
			"pk": "TOKEN#" + app.SHA256(token), "sk": "L", "customer_id": known.CustomerID,
			"agent_id": known.AgentID, "username": given.Username, "permission": app.Admin,
			"tm_expire": app.Text(expires), "expires_at": expires.Unix(),
		})
		if err != nil {
			return lambda.Response{}, err
		}
		_, err = tenure.Client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
			TransactItems: []types.TransactWriteItem{
				put,
				{ConditionCheck: &types.ConditionCheck{
					TableName:                 &tenure.Accounts,
					Key:                       app.Key("CUSTOMER#"+known.CustomerID, "A"),
					ConditionExpression:       aws.String("#status <> :deleted"),
					ExpressionAttributeNames:  map[string]string{"#status": "status"},
					ExpressionAttributeValues: map[string]types.AttributeValue{":deleted": app.S("deleted")},
				}},
				{Delete: &types.Delete{TableName: &tenure.Accounts, Key: app.ThrottleKey(given.Username)}},
			},
		})
		if err != nil {
			return lambda.Response{}, err
		}
		return lambda.Reply(200, map[string]string{"username": given.Username, "token": token})
	})
}
