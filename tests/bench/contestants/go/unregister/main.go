// POST /auth/unregister
package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"tenure/app"
	"tenure/lambda"
)

type lock struct {
	PasswordHash string `dynamodbav:"password_hash"`
}

func main() {
	tenure := app.New()
	lambda.Serve(func(request lambda.Request) (lambda.Response, error) {
		ctx := context.Background()
		caller, err := tenure.Caller(ctx, request.Headers, app.Admin)
		if err != nil {
			return lambda.Response{}, err
		}
		if caller == nil {
			return lambda.Refuse(401, "AUTHENTICATION_REQUIRED")
		}
		var given struct {
			Password string `json:"password"`
		}
		if err := json.Unmarshal([]byte(request.Body), &given); err != nil {
			return lambda.Refuse(400, "INVALID_BODY")
		}
		var known lock
		var customer app.Customer
		work := tenure.CountAttempt(ctx, caller.Username, request.RequestContext.HTTP.SourceIP)
		err = app.All(append(work, func() error {
			_, err := tenure.Get(ctx, "USERNAME#"+app.SHA256(strings.ToLower(caller.Username)), "L", &known)
			return err
		}, func() error {
			_, err := tenure.Get(ctx, "CUSTOMER#"+caller.CustomerID, "A", &customer)
			return err
		})...)
		if err != nil {
			return lambda.Response{}, err
		}
		if !app.VerifyPassword(given.Password, known.PasswordHash) {
			return lambda.Refuse(401, "INVALID_CREDENTIALS")
		}
		now := time.Now()
		from, due := customer.Status, app.Text(now.Add(30*24*time.Hour))
		customer.Status, customer.DeletionScheduled, customer.Update = "frozen", &due, app.Text(now)
		told, err := tenure.Told("customer_frozen", customer, customer.Sequence+1)
		if err != nil {
			return lambda.Response{}, err
		}
		last := customer.ID[len(customer.ID)-1]
		_, err = tenure.Client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
			TransactItems: []types.TransactWriteItem{
				{Update: &types.Update{
					TableName: &tenure.Accounts,
					Key:       app.Key("CUSTOMER#"+customer.ID, "A"),
					UpdateExpression: aws.String("SET #status = :frozen, frozen_from = :from, " +
						"tm_deletion_scheduled = :due, tm_freeze = :now, tm_update = :now, due_pk = :queue, " +
						"due_sk = :place ADD version :one, #sequence :one"),
					ConditionExpression:      aws.String("#status = :from AND version = :version"),
					ExpressionAttributeNames: map[string]string{"#status": "status", "#sequence": "sequence"},
					ExpressionAttributeValues: map[string]types.AttributeValue{
						":frozen": app.S("frozen"), ":from": app.S(from), ":due": app.S(due),
						":now": app.S(customer.Update), ":queue": app.S("DUE#" + string("0123"[last%4])),
						":place": app.S(due + "#" + customer.ID), ":one": app.N(1),
						":version": app.N(int64(customer.Version)),
					},
				}},
				told,
				{Delete: &types.Delete{TableName: &tenure.Accounts, Key: app.ThrottleKey(caller.Username)}},
			},
		})
		if err != nil {
			return lambda.Response{}, err
		}
		return lambda.Reply(200, customer)
	})
}
