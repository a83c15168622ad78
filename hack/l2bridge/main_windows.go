// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// L2bridge makes an HNS network of type L2Bridge on a Windows machine that is no Kubernetes node, such as a hosted CI runner, so
// that hnsproxy has something to program there:
//
//	go run ./hack/l2bridge --name=hnsproxy-test --subnet=10.244.1.0/24
//	go run ./hack/l2bridge --name=hnsproxy-test --delete
//
// It needs the feature Containers, and an administrator. HNS binds a switch to the adapter of the machine, which cuts its
// connections for some seconds.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/Microsoft/hcsshim/hcn"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/hnslb"
	driver "github.com/hnsproxy/hnsproxy/hnslb/hcn"
)

// prefix begins the names of all networks that this program makes or deletes: it keeps its hands off those of others.
const prefix = "hnsproxy-"

// readyWithin is how long HNS may take to give the network its management address.
const readyWithin = 2 * time.Minute

func main() {
	err := run(context.Background(), os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "l2bridge:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("l2bridge", flag.ContinueOnError)
	name := flags.String("name", prefix+"test", "`name` of the network; it begins with "+prefix)
	subnet := flags.String("subnet", "10.244.1.0/24", "`range` of the pods' addresses")
	adapter := flags.String("adapter", "", "`name` of the adapter to bind to; HNS chooses one when there is none")
	remove := flags.Bool("delete", false, "delete the network with all its endpoints")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !strings.HasPrefix(*name, prefix) {
		return fmt.Errorf("--name=%s: must begin with %s", *name, prefix)
	}
	if *remove {
		return deleteNetwork(*name)
	}
	pods, err := netip.ParsePrefix(*subnet)
	if err != nil {
		return fmt.Errorf("--subnet: %w", err)
	}
	if err := createNetwork(*name, *adapter, pods); err != nil {
		return err
	}
	network, err := ready(ctx, *name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s %s, management address %s, MAC %s\n", network.Name, network.ID, network.ManagementIP, network.HostMAC)
	return err
}

// createNetwork makes the network, unless there is one of that name.
func createNetwork(name, adapter string, pods netip.Prefix) error {
	if _, err := hcn.GetNetworkByName(name); err == nil {
		return nil
	}
	pods = pods.Masked()
	network := &hcn.HostComputeNetwork{
		Name: name, Type: hcn.L2Bridge, SchemaVersion: hcn.SchemaVersion{Major: 2, Minor: 0},
		Ipams: []hcn.Ipam{{Type: "Static", Subnets: []hcn.Subnet{{
			IpAddressPrefix: pods.String(),
			Routes:          []hcn.Route{{NextHop: pods.Addr().Next().String(), DestinationPrefix: "0.0.0.0/0"}},
		}}}},
	}
	if adapter != "" {
		settings, err := json.Marshal(hcn.NetAdapterNameNetworkPolicySetting{NetworkAdapterName: adapter})
		if err != nil {
			return fmt.Errorf("name the adapter: %w", err)
		}
		network.Policies = []hcn.NetworkPolicy{{Type: hcn.NetAdapterName, Settings: settings}}
	}
	if _, err := network.Create(); err != nil {
		return fmt.Errorf("create network %s: %w", name, err)
	}
	return nil
}

// ready waits until the network is one that hnsproxy can work with: with a management address that an adapter has.
func ready(ctx context.Context, name string) (hnslb.Network, error) {
	var network hnslb.Network
	last := errors.New("it has no management address")
	err := wait.PollUntilContextTimeout(ctx, time.Second, readyWithin, true, func(ctx context.Context) (bool, error) {
		found, err := driver.New(nil).Network(ctx, name)
		if err != nil {
			last = err
			return false, nil
		}
		network = found
		return found.ManagementIP.IsValid() && found.HostMAC != "", nil
	})
	if err != nil {
		return network, fmt.Errorf("network %s is not ready: %w", name, errors.Join(last, err))
	}
	return network, nil
}

func deleteNetwork(name string) error {
	network, err := hcn.GetNetworkByName(name)
	if hcn.IsNotFoundError(err) {
		return nil
	}
	if err == nil {
		err = network.Delete()
	}
	if err != nil {
		return fmt.Errorf("delete network %s: %w", name, err)
	}
	return nil
}
