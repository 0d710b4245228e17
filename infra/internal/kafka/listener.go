package kafka

import (
	"fmt"
	"strings"
)

// listener is one port that a node listens on.
type listener struct {
	name     string
	port     int
	role     string
	protocol string

	// advertised listeners are in the metadata for clients and other brokers. Controllers are found through the voters.
	advertised bool
}

// portName is the listener's name as a port.
func (l listener) portName() string { return strings.ToLower(l.name) }

const (
	clientListener     = "CLIENT"
	internalListener   = "INTERNAL"
	controllerListener = "CONTROLLER"
)

// listeners returns every listener of the cluster. None has the name of a protocol: if a listener is called SSL, the
// image's start script looks for Java key stores.
func listeners(s Security) []listener {
	clients, nodes := s.protocols()
	return []listener{
		{name: clientListener, port: ClientPort, role: roleBroker, protocol: clients, advertised: true},
		{name: internalListener, port: InternalPort, role: roleBroker, protocol: nodes, advertised: true},
		{name: controllerListener, port: ControllerPort, role: roleController, protocol: nodes},
	}
}

// listenerValues returns the three settings that describe the listeners of a pool's nodes. The protocol map names all
// listeners, since a broker connects to controllers even if it isn't one.
func listenerValues(all []listener, p pool, host string) (bind, advertised, protocols string) {
	var binds, adverts, maps []string
	for _, l := range all {
		maps = append(maps, l.name+":"+l.protocol)
		if !p.has(l.role) {
			continue
		}
		binds = append(binds, fmt.Sprintf("%s://:%d", l.name, l.port))
		if l.advertised {
			adverts = append(adverts, fmt.Sprintf("%s://%s:%d", l.name, host, l.port))
		}
	}
	return strings.Join(binds, ","), strings.Join(adverts, ","), strings.Join(maps, ",")
}
