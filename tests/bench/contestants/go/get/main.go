// GET /v1.0/customers/{id}
package main

import (
	"context"

	"tenure/app"
	"tenure/lambda"
)

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
		var customer app.Customer
		found, err := tenure.Get(ctx, "CUSTOMER#"+request.PathParameters["id"], "A", &customer)
		if err != nil {
			return lambda.Response{}, err
		}
		if !found {
			return lambda.Refuse(404, "CUSTOMER_NOT_FOUND")
		}
		return lambda.Reply(200, customer)
	})
}
