// GET /v1.0/customers
package main

import (
	"context"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"tenure/app"
	"tenure/lambda"
)

type page struct {
	Result []app.Customer `json:"result"`
	Next   string         `json:"next_page_token"`
}

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
		size, err := strconv.Atoi(request.QueryStringParameters["page_size"])
		if err != nil {
			size = 100
		}
		found, err := tenure.Client.Query(ctx, &dynamodb.QueryInput{
			TableName:                 &tenure.Accounts,
			IndexName:                 aws.String("list"),
			KeyConditionExpression:    aws.String("list_pk = :list"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":list": app.S("CUSTOMERS")},
			ScanIndexForward:          aws.Bool(false),
			Limit:                     aws.Int32(int32(size)),
		})
		if err != nil {
			return lambda.Response{}, err
		}
		var answer page
		if err := attributevalue.UnmarshalListOfMaps(found.Items, &answer.Result); err != nil {
			return lambda.Response{}, err
		}
		if found.LastEvaluatedKey != nil {
			answer.Next = answer.Result[len(answer.Result)-1].Create
		}
		return lambda.Reply(200, answer)
	})
}
