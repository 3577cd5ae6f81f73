package app

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// HashPassword is argon2id, m = 19,456 KiB, t = 2, p = 1, as a PHC string.
func HashPassword(password string) string {
	salt := make([]byte, 16)
	rand.Read(salt)
	hash := argon2.IDKey([]byte(password), salt, 2, 19456, 1, 32)
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=19456,t=2,p=1$%s$%s", text(salt), text(hash))
}

// VerifyPassword says whether it is the one that was hashed.
func VerifyPassword(password, stored string) bool {
	parts := strings.Split(stored, "$")
	if len(parts) != 6 {
		return false
	}
	var memory, rounds uint32
	var lanes uint8
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &rounds, &lanes); err != nil {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	wanted, other := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || other != nil {
		return false
	}
	hash := argon2.IDKey([]byte(password), salt, rounds, memory, lanes, uint32(len(wanted)))
	return subtle.ConstantTimeCompare(hash, wanted) == 1
}
