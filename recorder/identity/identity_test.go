package identity

import (
	"reflect"
	"strings"
	"testing"
)

// Ids as runtimes make them.
const (
	idA = "aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9"
	idB = "79fedb3bd23ca77c9d9ccb41909038316f713df22b54b7d942b71d3812e7c74e"
	idC = "4cc818a75eb691c5efb9c943b0c3a26ec8e0a05acb60bef4717315e65d671774"

	uid       = "12fdc709-933e-41d0-917f-cd84de9afa94"
	uidSlice  = "12fdc709_933e_41d0_917f_cd84de9afa94"
	staticUID = "36b6d6be73b1065af369b3985edafa09"
)

// TestParse catches a runtime, driver or nesting whose containers the recorder
// would not name, or would name wrongly.
func TestParse(t *testing.T) {
	burstable := func(c Container) Container {
		c.PodUID, c.QoS = uid, QoSBurstable
		return c
	}
	for _, tc := range []struct {
		name, path string
		want       Container // Path "" stands for the path itself
	}{
		// Kubernetes, cgroupfs driver.
		{"cgroupfs burstable", "/kubepods/burstable/pod" + uid + "/" + idA,
			burstable(Container{ID: idA})},
		{"cgroupfs besteffort", "/kubepods/besteffort/pod" + uid + "/" + idA,
			Container{ID: idA, PodUID: uid, QoS: QoSBestEffort}},
		{"cgroupfs guaranteed", "/kubepods/pod" + uid + "/" + idA,
			Container{ID: idA, PodUID: uid, QoS: QoSGuaranteed}},
		{"cgroupfs static pod", "/kubepods/burstable/pod" + staticUID + "/" + idA,
			Container{ID: idA, PodUID: staticUID, QoS: QoSBurstable}},
		{"cgroupfs uid of no known form", "/kubepods/podweb-0/" + idA,
			Container{ID: idA, PodUID: "web-0", QoS: QoSGuaranteed}},
		{"cgroupfs below --cgroup-root", "/kubelet/kubepods/burstable/pod" + uid + "/" + idA,
			burstable(Container{ID: idA})},
		{"cgroupfs CRI-O", "/kubepods/burstable/pod" + uid + "/crio-" + idA,
			burstable(Container{ID: idA, Runtime: RuntimeCRIO})},
		{"cgroupfs kata", "/kubepods/burstable/pod" + uid + "/kata_" + idA,
			burstable(Container{ID: idA, Runtime: RuntimeKata})},

		// Kubernetes, systemd driver.
		{"systemd containerd", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uidSlice + ".slice/cri-containerd-" + idA + ".scope",
			burstable(Container{ID: idA, Runtime: RuntimeContainerd})},
		{"systemd CRI-O", "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uidSlice + ".slice/crio-" + idA + ".scope",
			Container{ID: idA, Runtime: RuntimeCRIO, PodUID: uid, QoS: QoSBestEffort}},
		{"systemd CRI-O with crun's subgroup", "/kubepods.slice/kubepods-pod" + uidSlice + ".slice/crio-" + idA + ".scope/container",
			Container{ID: idA, Runtime: RuntimeCRIO, PodUID: uid, QoS: QoSGuaranteed,
				Path: "/kubepods.slice/kubepods-pod" + uidSlice + ".slice/crio-" + idA + ".scope"}},
		{"systemd Docker", "/kubepods.slice/kubepods-pod" + uidSlice + ".slice/docker-" + idA + ".scope",
			Container{ID: idA, Runtime: RuntimeDocker, PodUID: uid, QoS: QoSGuaranteed}},
		{"systemd static pod", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + staticUID + ".slice/cri-containerd-" + idA + ".scope",
			Container{ID: idA, Runtime: RuntimeContainerd, PodUID: staticUID, QoS: QoSBurstable}},
		{"systemd below --cgroup-root", "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" + uidSlice + ".slice/cri-containerd-" + idA + ".scope",
			burstable(Container{ID: idA, Runtime: RuntimeContainerd})},

		// The kubelet uses systemd, containerd doesn't.
		{"mixed drivers", "/system.slice/containerd.service/kubepods-burstable-pod" + staticUID + ".slice:cri-containerd:" + idB,
			Container{ID: idB, Runtime: RuntimeContainerd, PodUID: staticUID, QoS: QoSBurstable}},
		{"mixed drivers at the root", "/kubepods-besteffort-pod" + uidSlice + ".slice:cri-containerd:" + idB,
			Container{ID: idB, Runtime: RuntimeContainerd, PodUID: uid, QoS: QoSBestEffort}},
		{"mixed drivers, nerdctl", "/system.slice:nerdctl:" + idB,
			Container{ID: idB, Runtime: RuntimeContainerd}},

		// Docker.
		{"docker cgroupfs", "/docker/" + idA, Container{ID: idA, Runtime: RuntimeDocker}},
		{"docker systemd", "/system.slice/docker-" + idA + ".scope", Container{ID: idA, Runtime: RuntimeDocker}},
		{"docker with --cgroup-parent", "/batch/jobs/" + idA, Container{ID: idA}},
		{"docker with --cgroup-parent slice", "/batch.slice/batch-jobs.slice/docker-" + idA + ".scope", Container{ID: idA, Runtime: RuntimeDocker}},
		{"docker rootless", "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + idA + ".scope", Container{ID: idA, Runtime: RuntimeDocker}},
		{"docker on ECS", "/ecs/55091c13-b8cf-4801-b527-f4601742204d/" + idA, Container{ID: idA}},
		{"a bare id at the root", "/" + idA, Container{ID: idA}},

		// Podman.
		{"podman systemd", "/machine.slice/libpod-" + idA + ".scope", Container{ID: idA, Runtime: RuntimePodman}},
		{"podman with crun's subgroup", "/machine.slice/libpod-" + idA + ".scope/container",
			Container{ID: idA, Runtime: RuntimePodman, Path: "/machine.slice/libpod-" + idA + ".scope"}},
		{"podman cgroupfs", "/libpod_parent/libpod-" + idA, Container{ID: idA, Runtime: RuntimePodman}},
		{"podman rootless", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + idA + ".scope/container",
			Container{ID: idA, Runtime: RuntimePodman, Path: "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + idA + ".scope"}},
		{"podman pod, systemd", "/machine.slice/machine-libpod_pod_" + idB + ".slice/libpod-" + idA + ".scope",
			Container{ID: idA, Runtime: RuntimePodman}},
		{"podman pod, cgroupfs", "/libpod_parent/" + idB + "/libpod-" + idA, Container{ID: idA, Runtime: RuntimePodman}},
		{"podman quadlet", "/system.slice/nginx.service/libpod-payload-" + idA, Container{ID: idA, Runtime: RuntimePodman}},

		// containerd's own clients, where they use whole ids.
		{"nerdctl cgroupfs", "/default/" + idA, Container{ID: idA}},
		{"nerdctl systemd", "/system.slice/nerdctl-" + idA + ".scope", Container{ID: idA, Runtime: RuntimeContainerd}},
		{"runc systemd", "/system.slice/runc-" + idA + ".scope", Container{ID: idA, Runtime: RuntimeRunc}},

		// A container in a container.
		{"kind, cgroupfs", "/docker/" + idC + "/kubelet/kubepods/burstable/pod" + uid + "/" + idA,
			burstable(Container{ID: idA, Nested: []string{idC}})},
		{"kind, systemd", "/system.slice/docker-" + idC + ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" + uidSlice + ".slice/cri-containerd-" + idA + ".scope",
			burstable(Container{ID: idA, Runtime: RuntimeContainerd, Nested: []string{idC}})},
		{"minikube with CRI-O", "/docker/" + idC + "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uidSlice + ".slice/crio-" + idA + ".scope",
			Container{ID: idA, Runtime: RuntimeCRIO, PodUID: uid, QoS: QoSBestEffort, Nested: []string{idC}}},
		{"kind in a pod", "/kubepods/pod" + staticUID + "/" + idB + "/docker/" + idC + "/kubelet/kubepods/burstable/pod" + uid + "/" + idA,
			burstable(Container{ID: idA, Nested: []string{idB, idC}})},
		{"kind node's own services", "/docker/" + idC + "/system.slice/containerd.service",
			Container{ID: idC, Runtime: RuntimeDocker, Path: "/docker/" + idC}},
		{"kind node's kubelet without a container", "/docker/" + idC + "/kubelet/kubepods/burstable/pod" + uid,
			Container{ID: idC, Runtime: RuntimeDocker, Path: "/docker/" + idC}},
		{"docker in docker", "/docker/" + idC + "/docker/" + idA,
			Container{ID: idA, Runtime: RuntimeDocker, Nested: []string{idC}}},
		{"docker in a pod", "/kubepods/burstable/pod" + uid + "/" + idC + "/docker/" + idA,
			burstable(Container{ID: idA, Runtime: RuntimeDocker, Nested: []string{idC}})},
		{"buildkit in a pod", "/kubepods/burstable/pod" + uid + "/" + idC + "/buildkit/l5sfdtekxhy3bs1z3vpmz9dwq",
			burstable(Container{ID: idC, Path: "/kubepods/burstable/pod" + uid + "/" + idC})},
		{"systemd in a container", "/system.slice/docker-" + idC + ".scope/init.scope",
			Container{ID: idC, Runtime: RuntimeDocker, Path: "/system.slice/docker-" + idC + ".scope"}},
		{"mount unit in a container", "/docker/" + idC + "/system.slice/var-lib-docker-containers-" + idA + "-mounts-shm.mount",
			Container{ID: idC, Runtime: RuntimeDocker, Path: "/docker/" + idC}},
		{"conmon in a container", "/docker/" + idC + "/libpod_parent/conmon-" + idA,
			Container{ID: idC, Runtime: RuntimeDocker, Path: "/docker/" + idC}},

		// Seen from within a cgroup namespace, and after removal.
		{"sibling container, docker", "/../" + idA, Container{ID: idA}},
		{"sibling pod, cgroupfs", "/../../pod" + uid + "/" + idA, Container{ID: idA, PodUID: uid}},
		{"pod of another class, cgroupfs", "/../../../besteffort/pod" + uid + "/" + idA,
			Container{ID: idA, PodUID: uid, QoS: QoSBestEffort}},
		{"sibling pod, systemd", "/../../kubepods-burstable-pod" + uidSlice + ".slice/cri-containerd-" + idA + ".scope",
			burstable(Container{ID: idA, Runtime: RuntimeContainerd})},
		{"sibling, CRI-O", "/../crio-" + idA + ".scope", Container{ID: idA, Runtime: RuntimeCRIO}},
		{"removed", "/docker/" + idA + " (deleted)", Container{ID: idA, Runtime: RuntimeDocker, Path: "/docker/" + idA}},
		{"unclean", "docker//./" + idA + "/", Container{ID: idA, Runtime: RuntimeDocker, Path: "/docker/" + idA}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.want.Path == "" {
				tc.want.Path = tc.path
			}
			got, ok := Parse(tc.path)
			if !ok || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("Parse(%q)\n got %+v, %v\nwant %+v, true", tc.path, got, ok, tc.want)
			}
		})
	}
}

// TestParseNone catches cgroups that would get a recording without being a
// container's: each would take a ring from one that is.
func TestParseNone(t *testing.T) {
	for _, path := range []string{
		"", "/", "/..", "/../..", "/init.scope", "/user.slice/user-1000.slice/session-2.scope",
		"/system.slice/containerd.service", "/system.slice/docker.service", "/docker", "/kubepods",
		"/kubepods/burstable", "/kubepods/burstable/pod" + uid, "/kubepods/pod" + staticUID,
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uidSlice + ".slice",
		"/kubelet.slice/kubelet-kubepods.slice",
		"/machine.slice/libpod-conmon-" + idA + ".scope",
		"/machine.slice/machine-libpod_pod_" + idA + ".slice",
		"/libpod_parent/" + idA,
		"/libpod_parent/conmon",
		"/kubepods.slice/kubepods-pod" + uidSlice + ".slice/crio-conmon-" + idA + ".scope",
		"/system.slice/var-lib-docker-containers-" + idA + "-mounts-shm.mount",
		"/system.slice/run-containerd-io.containerd.runtime.v2.task-k8s.io-" + idA + "-rootfs.mount",
		"/system.slice/" + idA + ".service",                  // podman healthcheck
		"/system.slice/" + idA + "-5d1bb7c5a3bd1e0a.service", // newer ones
		"/docker/buildkit/l5sfdtekxhy3bs1z3vpmz9dwq",
		"/buildkit/l5sfdtekxhy3bs1z3vpmz9dwq",
		"/default/web",         // ctr: needs ParseBelow
		"/docker/" + idA[:63],  // an id too short
		"/docker/" + idA + "0", // too long
		"/docker/" + idA[:12] + "/" + idA[12:],
	} {
		if got, ok := Parse(path); ok {
			t.Errorf("Parse(%q) = %+v, want no container", path, got)
		}
	}
}

// TestIsContainerName catches a rule that drifts from the one in the BPF
// program, which sees nothing but the name.
func TestIsContainerName(t *testing.T) {
	for name, want := range map[string]bool{
		idA:                                    true,
		strings.ToUpper(idA):                   false,
		"cri-containerd-" + idA + ".scope":     true,
		"crio-" + idA:                          true,
		"x.slice:cri-containerd:" + idA:        true,
		"libpod-payload-" + idA:                true,
		idA + "-" + idB[:10]:                   false,
		idA + "." + idB:                        true,
		idA + ".scope.scope":                   false,
		"f" + idA:                              false,
		idA[:63]:                               false,
		idA[:63] + "g":                         false,
		idA + idB:                              false,
		"libpod-conmon-" + idA + ".scope":      false,
		"crio-conmon-" + idA + ".scope":        false,
		idA + "-shm.mount":                     false,
		idA + ".service":                       false,
		"machine-libpod_pod_" + idA + ".slice": false,
		"":                                     false,
		"container":                            false,
		"kubepods-burstable-pod" + uid + ".slice": false,
	} {
		if got := IsContainerName(name); got != want {
			t.Errorf("IsContainerName(%q) = %v, want %v", name, got, want)
		}
	}
}

// TestParseBelow catches a watched root whose children are missed, taken from
// elsewhere in the tree, or split into their own subgroups.
func TestParseBelow(t *testing.T) {
	for _, tc := range []struct {
		root, path string
		want       Container
		ok         bool
	}{
		{"/default", "/default/web", Container{ID: "web", Path: "/default/web"}, true},
		{"/default/", "/default/web/init.scope", Container{ID: "web", Path: "/default/web"}, true},
		{"default", "/default/a b", Container{ID: "a b", Path: "/default/a b"}, true},
		{"/", "/web", Container{ID: "web", Path: "/web"}, true},
		{"", "/web", Container{ID: "web", Path: "/web"}, true},
		{"/a/b", "/a/b/c/d", Container{ID: "c", Path: "/a/b/c"}, true},
		{"/default", "/default/" + idA, Container{ID: idA, Path: "/default/" + idA}, true},
		{"/docker", "/docker/" + idA, Container{ID: idA, Runtime: RuntimeDocker, Path: "/docker/" + idA}, true},
		{"/batch.slice", "/batch.slice/docker-" + idA + ".scope", Container{ID: idA, Runtime: RuntimeDocker, Path: "/batch.slice/docker-" + idA + ".scope"}, true},
		{"/user.slice", "/user.slice/user-1000.slice/session-2.scope", Container{ID: "user-1000.slice", Path: "/user.slice/user-1000.slice"}, true},
		{"/default", "/default/conmon-test", Container{ID: "conmon-test", Path: "/default/conmon-test"}, true},
		{"/default", "/default/web (deleted)", Container{ID: "web", Path: "/default/web"}, true},
		{"/default", "/default", Container{}, false},
		{"/default", "/defaults/web", Container{}, false},
		{"/default", "/other/default/web", Container{}, false},
		{"/default", "/default/../web", Container{}, false},
		{"/a/b", "/a", Container{}, false},
		{"/", "/..", Container{}, false},
		{"/machine.slice", "/machine.slice/libpod-conmon-" + idA + ".scope", Container{}, false},
		{"/system.slice", "/system.slice/tmp.mount", Container{}, false},
	} {
		got, ok := ParseBelow(tc.root, tc.path)
		if ok != tc.ok || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("ParseBelow(%q, %q)\n got %+v, %v\nwant %+v, %v", tc.root, tc.path, got, ok, tc.want, tc.ok)
		}
	}
}

// FuzzParse catches panics on foreign names, and results that contradict
// themselves: the daemon parses what it stored, too.
func FuzzParse(f *testing.F) {
	f.Add("/kubepods/burstable/pod" + uid + "/" + idA)
	f.Add("/kubepods.slice/kubepods-pod" + uidSlice + ".slice/cri-containerd-" + idA + ".scope/x")
	f.Add("/docker/" + idA + "/docker/" + idB)
	f.Add("/../../pod" + uid + "/" + idA)
	f.Fuzz(func(t *testing.T, path string) {
		c, ok := Parse(path)
		if !ok {
			if c.ID != "" {
				t.Fatalf("Parse(%q) = %+v without a container", path, c)
			}
			return
		}
		if len(c.ID) != idLen || !allHex(c.ID) {
			t.Errorf("Parse(%q): id %q", path, c.ID)
		}
		base := c.Path[strings.LastIndexByte(c.Path, '/')+1:]
		if !IsContainerName(base) || !strings.Contains(base, c.ID) {
			t.Errorf("Parse(%q): %q is no name of %s", path, base, c.ID)
		}
		if strings.ContainsAny(c.PodUID, "/") {
			t.Errorf("Parse(%q): pod %q", path, c.PodUID)
		}
		again, ok := Parse(c.Path)
		if !ok || !reflect.DeepEqual(again, c) {
			t.Errorf("Parse(%q) = %+v, but its path gives %+v, %v", path, c, again, ok)
		}
		below, ok := Parse(c.Path + "/init.scope")
		if !ok || !reflect.DeepEqual(below, c) {
			t.Errorf("Parse(%q) = %+v, but a cgroup in it gives %+v, %v", path, c, below, ok)
		}
		if b, ok := ParseBelow(c.Path[:len(c.Path)-len(base)], c.Path); !ok || b.ID != c.ID {
			t.Errorf("ParseBelow(…, %q) = %+v, %v, want id %s", c.Path, b, ok, c.ID)
		}
	})
}
