// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/message"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/seek"
)

// Config is the part of the configuration that all pub/sub modules have.
type Config struct {
	// Topics are those that the node is subscribed to for as long as the module
	// runs, and so passes on to others.
	// Default: none.
	Topics []string `json:"topics,omitempty"`

	// TopicOptions are settings of topics, by their names.
	// Default: none.
	TopicOptions map[string]*TopicOptions `json:"topic_options,omitempty"`

	// AllowTopics are patterns of topics that the node may be in and remembers
	// that peers are; * stands for any run of characters but a slash. Those
	// that match none do not exist for the node.
	// Default: all are allowed.
	AllowTopics []string `json:"allow_topics,omitempty"`

	// Policy says whether messages have an author and a signature:
	// "strict_sign", all must; "strict_no_sign", none may; "lax_sign" and
	// "lax_no_sign", the node's own do or do not, those of others may.
	// Default: "strict_sign".
	Policy string `json:"policy,omitempty" xnode:"one_of=strict_sign|strict_no_sign|lax_sign|lax_no_sign"`

	// MessageID says which messages are the same: those of the same author and
	// number, "from_seqno"; those of the same content, "sha256"; those of the
	// same content and topic, "sha256_topic", in 20 bytes; those whose content
	// begins with the same number, "first_8_bytes".
	// Default: "from_seqno", and "sha256_topic" where messages have no author.
	MessageID string `json:"message_id,omitempty" xnode:"one_of=from_seqno|sha256|sha256_topic|first_8_bytes"`

	// Validators check the messages of all topics, one after the other. Those
	// that are done at once come before those that are not.
	// Default: none; signatures are always checked.
	Validators core.List[core.TopicValidator] `json:"validators,omitempty"`

	// ValidateThrottle is how many messages the validators may be busy with
	// at a time, in all topics. Those that there is no room for are dropped,
	// which is held against nobody.
	// Default: 8192.
	ValidateThrottle int `json:"validate_throttle,omitempty"`

	// ValidatorConcurrency is the same for each topic.
	// Default: 1024.
	ValidatorConcurrency int `json:"validator_concurrency,omitempty"`

	// ValidatorTimeout is how long the validators may take for a message, which
	// is ignored if they take longer.
	// Default: "10s".
	ValidatorTimeout core.Duration `json:"validator_timeout,omitempty"`

	// DirectPeers are multiaddrs of peers, with /p2p/ID, that are kept connected
	// and always get every message. They must have this node among theirs.
	// Default: none.
	DirectPeers []string `json:"direct_peers,omitempty"`

	// Discovery has the node tell others of its topics, and look for others that
	// want them, wherever its other modules let peers meet: in the DHT
	// (routing.kad) and at rendezvous points (discovery.rendezvous). {} is with
	// the usual parameters.
	// Default: none; only peers that are connected anyway are in topics.
	Discovery *seek.Params `json:"discovery,omitempty"`

	// MaxMessage bounds what is sent and received at once.
	// Default: "1MiB".
	MaxMessage core.Size `json:"max_message,omitempty"`

	// SeenTTL is how long the IDs of messages are remembered, so that none is
	// passed on twice.
	// Default: "2m".
	SeenTTL core.Duration `json:"seen_ttl,omitempty"`

	// TraceFile is a file to which everything that happens is written, in the
	// format of go-libp2p-pubsub's traces: protobuf messages TraceEvent, each
	// behind its length. Placeholders are replaced.
	// Default: none.
	TraceFile string `json:"trace_file,omitempty"`

	// TraceFileSize bounds it: when it is as large, nothing more is written.
	// Default: "1GiB".
	TraceFileSize core.Size `json:"trace_file_size,omitempty"`

	traceFile   string
	log         *slog.Logger
	checks      []core.TopicValidator
	topicChecks map[string][]core.TopicValidator
}

// TopicOptions are settings of one topic.
type TopicOptions struct {
	// MessageID is as that of all topics.
	// Default: that of all topics.
	MessageID string `json:"message_id,omitempty" xnode:"one_of=from_seqno|sha256|sha256_topic|first_8_bytes"`
	// Validators check the topic's messages, after those of all topics.
	// Default: none.
	Validators core.List[core.TopicValidator] `json:"validators,omitempty"`
	// ValidatorConcurrency is as that of all topics.
	// Default: that of all topics.
	ValidatorConcurrency int `json:"validator_concurrency,omitempty"`
	// ValidatorTimeout is as that of all topics.
	// Default: that of all topics.
	ValidatorTimeout core.Duration `json:"validator_timeout,omitempty"`
}

// Provision fills in what is not given and loads the modules for checking.
func (c *Config) Provision(l core.Loader, log *slog.Logger) error {
	c.log = log
	if c.Policy == "" {
		c.Policy = "strict_sign"
	}
	if c.MessageID == "" {
		c.MessageID = "from_seqno"
		if policy, err := message.ParsePolicy(c.Policy); err == nil && !policy.Sign {
			c.MessageID = "sha256_topic"
		}
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = 1 << 20
	}
	if c.SeenTTL == 0 {
		c.SeenTTL = core.Duration(2 * time.Minute)
	}
	if c.Discovery != nil {
		c.Discovery.Provision()
	}
	if c.TraceFileSize == 0 {
		c.TraceFileSize = 1 << 30
	}
	if c.TraceFile != "" {
		var err error
		if c.traceFile, err = core.Expand(c.TraceFile); err != nil {
			return fmt.Errorf("trace_file: %w", err)
		}
	}
	if c.ValidateThrottle == 0 {
		c.ValidateThrottle = 8192
	}
	if c.ValidatorConcurrency == 0 {
		c.ValidatorConcurrency = 1024
	}
	if c.ValidatorTimeout == 0 {
		c.ValidatorTimeout = core.Duration(10 * time.Second)
	}
	checks, err := load(c.Validators, l)
	if err != nil {
		return fmt.Errorf("validators: %w", err)
	}
	c.checks, c.topicChecks = checks, make(map[string][]core.TopicValidator)
	for name, o := range c.TopicOptions {
		if o == nil {
			continue
		}
		if o.ValidatorConcurrency == 0 {
			o.ValidatorConcurrency = c.ValidatorConcurrency
		}
		if o.ValidatorTimeout == 0 {
			o.ValidatorTimeout = c.ValidatorTimeout
		}
		if c.topicChecks[name], err = load(o.Validators, l); err != nil {
			return fmt.Errorf("topic_options/%s/validators: %w", name, err)
		}
	}
	return nil
}

func load(list core.List[core.TopicValidator], l core.Loader) ([]core.TopicValidator, error) {
	loaded, err := list.Load(l)
	if err != nil {
		return nil, err
	}
	var checks []core.TopicValidator
	for _, m := range loaded {
		checks = append(checks, m.Module)
	}
	return checks, nil
}

// maxChecks bounds the messages that validators may be busy with: each holds a
// goroutine.
const maxChecks = 1 << 20

// Validate says what cannot be meant.
func (c *Config) Validate() error {
	_, err := c.Resolve()
	return err
}

// Resolve returns the settings of a hub, as far as they are in the configuration.
func (c *Config) Resolve() (Settings, error) {
	s := Settings{
		Names:       make(map[string]message.Name),
		Checks:      c.checks,
		TopicChecks: c.topicChecks,
		TopicLimits: make(map[string]CheckLimits),
		MaxChecks:   c.ValidateThrottle,
		Topics:      c.Topics,
		MaxMessage:  int(c.MaxMessage),
		SeenTTL:     time.Duration(c.SeenTTL),
		Log:         c.log,
	}
	var errs []error
	add := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	var err error
	s.Policy, err = message.ParsePolicy(c.Policy)
	add("policy", err)
	s.TraceFile, s.TraceFileSize = c.traceFile, int64(c.TraceFileSize)
	if c.TraceFileSize < 1<<10 {
		add("trace_file_size", fmt.Errorf("want at least 1KiB, have %s", c.TraceFileSize))
	}
	s.Discovery = c.Discovery
	if c.Discovery != nil {
		add("discovery", c.Discovery.Validate())
	}
	name := func(key, text string) message.Name {
		n, err := message.ParseName(text)
		if err == nil && s.Policy.Strict && !s.Policy.Sign && message.NeedsAuthor(text) {
			err = errors.New("from_seqno makes all messages the same where none has an author; use sha256 or sha256_topic")
		}
		add(key, err)
		return n
	}
	s.Name = name("message_id", c.MessageID)
	limits := func(key string, concurrency int, timeout core.Duration) CheckLimits {
		if concurrency < 1 || concurrency > maxChecks {
			add(key+"validator_concurrency", fmt.Errorf("want 1 to %d, have %d", maxChecks, concurrency))
		}
		if d := time.Duration(timeout); d < time.Millisecond || d > 10*time.Minute {
			add(key+"validator_timeout", fmt.Errorf("want 1ms to 10m, have %s", d))
		}
		return CheckLimits{concurrency, time.Duration(timeout)}
	}
	s.CheckLimits = limits("", c.ValidatorConcurrency, c.ValidatorTimeout)
	if c.ValidateThrottle < 1 || c.ValidateThrottle > maxChecks {
		add("validate_throttle", fmt.Errorf("want 1 to %d, have %d", maxChecks, c.ValidateThrottle))
	}
	for topic, o := range c.TopicOptions {
		if o == nil {
			continue
		}
		key := "topic_options/" + topic + "/"
		if o.MessageID != "" {
			s.Names[topic] = name(key+"message_id", o.MessageID)
		}
		s.TopicLimits[topic] = limits(key, o.ValidatorConcurrency, o.ValidatorTimeout)
	}
	for i, pattern := range c.AllowTopics {
		if _, err := path.Match(pattern, ""); err != nil {
			add(fmt.Sprintf("allow_topics/%d", i), fmt.Errorf("%q is no pattern: %w", pattern, err))
		}
	}
	if len(c.AllowTopics) > 0 {
		s.Allow = func(topic string) bool {
			for _, pattern := range c.AllowTopics {
				if ok, _ := path.Match(pattern, topic); ok {
					return true
				}
			}
			return false
		}
	}
	for i, topic := range c.Topics {
		key := fmt.Sprintf("topics/%d", i)
		if topic == "" || len(topic) > rpc.DefaultLimits.Topic {
			add(key, fmt.Errorf("want 1 to %d bytes, have %d", rpc.DefaultLimits.Topic, len(topic)))
		} else if s.Allow != nil && !s.Allow(topic) {
			add(key, fmt.Errorf("%q is not among allow_topics", topic))
		}
	}
	for i, text := range c.DirectPeers {
		info, err := peer.ParseAddrInfo(text)
		add(fmt.Sprintf("direct_peers/%d", i), err)
		s.Direct = append(s.Direct, info)
	}
	if c.MaxMessage < 1<<10 || c.MaxMessage > 64<<20 {
		add("max_message", fmt.Errorf("want 1KiB to 64MiB, have %s", c.MaxMessage))
	}
	if d := time.Duration(c.SeenTTL); d < time.Second || d > 24*time.Hour {
		add("seen_ttl", fmt.Errorf("want 1s to 24h, have %s", d))
	}
	return s, errors.Join(errs...)
}
