package kubernetes

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// clients are what asks the API server: for objects of the core group, and for the metadata of any.
// agent is how they call themselves; empty: client-go's way.
func clients(kubeconfig, agent string) (*rest.Config, rest.Interface, metadata.Interface, error) {
	rc, err := restConfig(kubeconfig)
	if err != nil {
		return nil, nil, nil, err
	}
	rc.UserAgent = agent
	rc.WarningHandler = rest.NoWarnings{}
	core, err := newClient(rc, corev1.SchemeGroupVersion, "/api")
	if err != nil {
		return nil, nil, nil, err
	}
	meta, err := metadata.NewForConfig(metadata.ConfigFor(rc))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make client for metadata: %w", err)
	}
	return rc, core, meta, nil
}

// newClient returns a client for the objects of one group. It knows only those
// kinds that are used here: client-go's own clients know all, and weigh 20 MB.
func newClient(rc *rest.Config, group schema.GroupVersion, path string) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, eventsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make client for %s: %w", group, err)
		}
	}
	c := rest.CopyConfig(rc)
	c.GroupVersion, c.APIPath = &group, path
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.ContentType = runtime.ContentTypeProtobuf
	c.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	client, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("make client for %s: %w", group, err)
	}
	return client, nil
}
