// Drives mhad by somebody else's varlink library and the bindings that its generator makes of the interface that mhad
// tells: for test_varlink.py, which reads what is printed.
//
//	client SOCKET CLUSTER    introspection, a call, errors, and events until one is "paused"
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"orgmhad"

	"github.com/varlink/go/varlink"
	"github.com/varlink/go/varlink/idl"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func say(what string, value interface{}) {
	text, err := json.Marshal(map[string]interface{}{"what": what, "value": value})
	check(err)
	fmt.Println(string(text))
}

func introspect(ctx context.Context, c *varlink.Connection) {
	var vendor, product, version, url string
	var interfaces []string
	check(c.GetInfo(ctx, &vendor, &product, &version, &url, &interfaces))
	say("info", []string{vendor, product, version, url})
	for _, name := range interfaces {
		description, err := c.GetInterfaceDescription(ctx, name)
		check(err)
		parsed, err := idl.New(description)
		check(err)
		say("interface", map[string]int{parsed.Name: len(parsed.Methods)})
	}
	_, err := c.GetInterfaceDescription(ctx, "org.example.no")
	var missing *varlink.InterfaceNotFound
	say("no interface", errors.As(err, &missing) && missing.Interface == "org.example.no")
}

func call(ctx context.Context, c *varlink.Connection, cluster string) {
	clusters, err := orgmhad.Status().Call(ctx, c, &cluster)
	check(err)
	say("status", clusters)
	nobody := "nobody"
	_, err = orgmhad.Status().Call(ctx, c, &nobody)
	var unknown *orgmhad.UnknownCluster
	if !errors.As(err, &unknown) {
		check(fmt.Errorf("no UnknownCluster: %v", err))
	}
	say("unknown", unknown)
	to := "db9"
	_, err = orgmhad.Switch().Call(ctx, c, cluster, &orgmhad.SwitchOptions{To: &to})
	var refused *orgmhad.Refused
	if !errors.As(err, &refused) {
		check(fmt.Errorf("not Refused: %v", err))
	}
	say("refused", refused)
}

func follow(ctx context.Context, c *varlink.Connection, cluster string) {
	receive, err := orgmhad.Events().Send(ctx, c, varlink.More, &cluster)
	check(err)
	for replies := 1; ; replies++ {
		events, flags, err := receive(ctx)
		check(err)
		if flags&varlink.Continues == 0 {
			check(errors.New("the events have an end"))
		}
		if replies == 1 {
			say("following", len(events))
			continue
		}
		for _, event := range events {
			say("event", event)
			if event.Event == "paused" {
				return
			}
		}
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, err := varlink.NewConnection(ctx, "unix:"+os.Args[1])
	check(err)
	defer c.Close()
	introspect(ctx, c)
	call(ctx, c, os.Args[2])
	follow(ctx, c, os.Args[2])
}
