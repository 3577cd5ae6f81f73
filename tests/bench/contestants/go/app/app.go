// Package app is what the functions have in common.
package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Permissions.
const (
	ProjectAdmin = 1
	Admin        = 32
)

// Session is who is behind a token.
type Session struct {
	CustomerID string `dynamodbav:"customer_id"`
	AgentID    string `dynamodbav:"agent_id"`
	Username   string `dynamodbav:"username"`
	Permission int    `dynamodbav:"permission"`
	Expire     string `dynamodbav:"tm_expire"`
}

// Metadata is what can be switched for a customer.
type Metadata struct {
	RTPDebug *bool `dynamodbav:"rtp_debug,omitempty" json:"rtp_debug,omitempty"`
}

// Customer is an account.
type Customer struct {
	ID                         string   `dynamodbav:"id" json:"id"`
	Name                       string   `dynamodbav:"name" json:"name"`
	Detail                     string   `dynamodbav:"detail" json:"detail"`
	Email                      string   `dynamodbav:"email" json:"email"`
	PhoneNumber                string   `dynamodbav:"phone_number" json:"phone_number"`
	Address                    string   `dynamodbav:"address" json:"address"`
	WebhookMethod              string   `dynamodbav:"webhook_method" json:"webhook_method"`
	WebhookURI                 string   `dynamodbav:"webhook_uri" json:"webhook_uri"`
	BillingAccountID           string   `dynamodbav:"billing_account_id" json:"billing_account_id"`
	Metadata                   Metadata `dynamodbav:"metadata" json:"metadata"`
	EmailVerified              bool     `dynamodbav:"email_verified" json:"email_verified"`
	Status                     string   `dynamodbav:"status" json:"status"`
	IdentityVerificationStatus string   `dynamodbav:"identity_verification_status" json:"identity_verification_status"`
	DeletionScheduled          *string  `dynamodbav:"tm_deletion_scheduled,omitempty" json:"tm_deletion_scheduled"`
	Create                     string   `dynamodbav:"tm_create" json:"tm_create"`
	Update                     string   `dynamodbav:"tm_update" json:"tm_update"`
	Delete                     *string  `dynamodbav:"tm_delete,omitempty" json:"tm_delete"`
	Version                    int      `dynamodbav:"version" json:"-"`
	Sequence                   int      `dynamodbav:"sequence" json:"-"`
}

// Event is an item of the outbox.
type Event struct {
	ID                string  `dynamodbav:"id"`
	Type              string  `dynamodbav:"type"`
	CustomerID        string  `dynamodbav:"customer_id"`
	Time              string  `dynamodbav:"tm_event"`
	Status            string  `dynamodbav:"status"`
	DeletionScheduled *string `dynamodbav:"tm_deletion_scheduled,omitempty"`
	Sequence          int     `dynamodbav:"sequence"`
	Attempts          int     `dynamodbav:"attempts"`
	DuePK             string  `dynamodbav:"due_pk"`
	DueSK             string  `dynamodbav:"due_sk"`
	ExpiresAt         int64   `dynamodbav:"expires_at"`
}

// App is what a handler works with.
type App struct {
	Client           *dynamodb.Client
	Accounts, Outbox string
}

// New reads the environment.
func New() App {
	settings, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	client := dynamodb.NewFromConfig(settings, func(options *dynamodb.Options) {
		// Newer SDKs read this variable by themselves.
		if url := os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"); url != "" {
			options.EndpointResolver = dynamodb.EndpointResolverFromURL(url)
		}
	})
	return App{client, os.Getenv("ACCOUNTS_TABLE"), os.Getenv("OUTBOX_TABLE")}
}

// Key is an item's.
func Key(pk, sk string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": S(pk), "sk": S(sk)}
}

// S is text.
func S(text string) types.AttributeValue { return &types.AttributeValueMemberS{Value: text} }

// N is a number.
func N(number int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(number)}
}

// Get reads an item consistently; false if there is none.
func (app App) Get(ctx context.Context, pk, sk string, into any) (bool, error) {
	found, err := app.Client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &app.Accounts, Key: Key(pk, sk), ConsistentRead: aws.Bool(true),
	})
	if err != nil || found.Item == nil {
		return false, err
	}
	return true, attributevalue.UnmarshalMap(found.Item, into)
}

// Caller is who sent the request, if they have the permission.
func (app App) Caller(ctx context.Context, headers map[string]string, permission int) (*Session, error) {
	token, ok := strings.CutPrefix(headers["authorization"], "Bearer ")
	if !ok {
		return nil, nil
	}
	var session Session
	found, err := app.Get(ctx, "TOKEN#"+SHA256(token), "L", &session)
	if err != nil || !found || session.Permission&permission == 0 || session.Expire <= Text(time.Now()) {
		return nil, err
	}
	return &session, nil
}

// Put is one item of a transaction, which must be new.
func Put(table string, key string, attributes ...any) (types.TransactWriteItem, error) {
	item := map[string]types.AttributeValue{}
	for _, some := range attributes {
		marshalled, err := attributevalue.MarshalMap(some)
		if err != nil {
			return types.TransactWriteItem{}, err
		}
		for name, value := range marshalled {
			item[name] = value
		}
	}
	condition := "attribute_not_exists(" + key + ")"
	return types.TransactWriteItem{
		Put: &types.Put{TableName: &table, Item: item, ConditionExpression: &condition},
	}, nil
}

// Told is the event that something has happened to an account itself.
func (app App) Told(kind string, customer Customer, sequence int) (types.TransactWriteItem, error) {
	id := UUID()
	return Put(app.Outbox, "id", Event{
		ID: id, Type: kind, CustomerID: customer.ID, Time: customer.Update, Status: customer.Status,
		DeletionScheduled: customer.DeletionScheduled, Sequence: sequence,
		DuePK: "PUBLISH#" + string("0123"[id[len(id)-1]%4]), DueSK: customer.Update + "#" + id,
		ExpiresAt: time.Now().Unix() + 7*86400,
	})
}

// ThrottleKey is where attempts at a user name's password are counted.
func ThrottleKey(username string) map[string]types.AttributeValue {
	return Key("THROTTLE#"+SHA256(strings.ToLower(username)), "T")
}

func (app App) count(ctx context.Context, key map[string]types.AttributeValue, most, seconds int64) error {
	now := time.Now().Unix()
	_, err := app.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:           &app.Accounts,
		Key:                 key,
		UpdateExpression:    aws.String("ADD attempts :one SET last_at = :now, expires_at = :expires"),
		ConditionExpression: aws.String("attribute_not_exists(pk) OR attempts < :most OR expires_at < :now"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":one": N(1), ":most": N(most), ":now": N(now), ":expires": N(now + seconds),
		},
	})
	return err
}

// CountAttempt counts an attempt at a password, by user name and by network, before a hash is computed.
func (app App) CountAttempt(ctx context.Context, username, network string) []func() error {
	hour := fmt.Sprint(time.Now().Unix() / 3600)
	return []func() error{
		func() error { return app.count(ctx, ThrottleKey(username), 10, 86400) },
		func() error { return app.count(ctx, Key("NETWORK#"+SHA256(network), hour), 100, 7200) },
	}
}

// All does everything side by side.
func All(work ...func() error) error {
	errors := make(chan error, len(work))
	for _, one := range work {
		go func(one func() error) { errors <- one() }(one)
	}
	var failed error
	for range work {
		if err := <-errors; err != nil {
			failed = err
		}
	}
	return failed
}

// SHA256 is a digest in hexadecimal.
func SHA256(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

// Text is a time as it is stored.
func Text(moment time.Time) string { return moment.UTC().Format("2006-01-02T15:04:05.000000Z") }

// UUID is one of version 7.
func UUID() string {
	var bytes [16]byte
	rand.Read(bytes[:])
	var millis [8]byte
	binary.BigEndian.PutUint64(millis[:], uint64(time.Now().UnixMilli()))
	copy(bytes[:6], millis[2:])
	bytes[6] = 0x70 | bytes[6]&0x0f
	bytes[8] = 0x80 | bytes[8]&0x3f
	return fmt.Sprintf("%x-%x-%x-%x-%x", bytes[:4], bytes[4:6], bytes[6:8], bytes[8:10], bytes[10:])
}
